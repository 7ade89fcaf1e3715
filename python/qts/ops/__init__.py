"""Operations: reports and the operator's desk; backup and scheduling come with the rooms that need them."""
