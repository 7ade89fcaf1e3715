"""Several strategies that decide as one."""

import pytest

from qts.codes import UsageError
from qts.strategy import Ensemble, Intent, Member, Requirements, Strategy

SECOND_NS = 1_000_000_000


class Voter(Strategy):
    """Says what it was made to say."""

    track = "SWING"

    def __init__(self, *wishes, interval_ns=SECOND_NS, lookback=1, phases=frozenset()):
        super().__init__()
        self.wishes = wishes
        self.needs = Requirements(interval_ns, lookback, phases)
        self.heard = []

    def requirements(self):
        return self.needs

    def generate_intents(self, market, execution):
        return self.wishes

    def on_fill(self, fill):
        self.heard.append(fill)

    def on_reject(self, end):
        self.heard.append(end)


class Scalper(Voter):
    track = "SCALP"


class Ticker(Voter):
    def on_tick(self, tick):
        return None


def buy(confidence=1.0, reason="in"):
    return Intent.entry("A", reason, weight_ppm=100_000, confidence=confidence)


SELL = Intent.exit("A", "out")


def ensemble(*members, **params):
    class Vote(Ensemble):
        name = "vote"
        track = "SWING"

        def members(self):
            return [member if isinstance(member, Member) else Member(member) for member in members]

    return Vote(**params)


def decide(*members, **params):
    wishes = ensemble(*members, **params).generate_intents(None, None)
    assert len(wishes) <= 1
    return [(wish.side, round(wish.confidence, 3)) for wish in wishes]


def test_more_than_half_decide_those_that_want_nothing_counted_in():
    assert decide(Voter(buy()), Voter(buy()), Voter()) == [("BUY", 1.0)]
    assert decide(Voter(buy()), Voter(buy()), Voter(SELL)) == [("BUY", 1.0)]
    assert decide(Voter(SELL), Voter(SELL), Voter(buy())) == [("SELL", 1.0)]
    assert decide(Voter(buy()), Voter(), Voter()) == []


def test_tie_is_no_decision():
    assert decide(Voter(buy()), Voter(SELL)) == []
    assert decide(Voter(buy()), Voter()) == []


def test_member_that_contradicts_itself_does_not_vote():
    assert decide(Voter(buy()), Voter(buy(), SELL)) == []
    assert decide(Voter(buy()), Voter(buy()), Voter(buy(), SELL)) == [("BUY", 1.0)]


def test_surest_wish_leaves_as_sure_as_its_voters_are_on_average():
    [wish] = ensemble(Voter(buy(0.7)), Voter(buy(0.9, "best")), Voter()).generate_intents(None, None)
    assert (wish.confidence, wish.reason, wish.target_weight_ppm) == (pytest.approx(0.8), "2 of 3: best", 100_000)


@pytest.mark.parametrize(
    ("members", "decision"),
    [
        ((Member(Voter(buy(0.8)), 3.0), Member(Voter(SELL), 1.0)), []),
        ((Member(Voter(buy(0.8)), 5.0), Member(Voter(SELL), 1.0)), [("BUY", 0.8)]),
        ((Member(Voter(buy(1.0)), 1.0), Member(Voter(SELL), 3.0)), [("SELL", 1.0)]),
        ((Member(Voter(buy(1.0)), 1.0), Member(Voter(), 1.0)), [("BUY", 1.0)]),
        ((Member(Voter(buy(0.99)), 1.0), Member(Voter(), 1.0)), []),
        ((Member(Voter(buy(0.5)), 2.0), Member(Voter(SELL), 1.0)), []),
    ],
)
def test_confidence_times_weight_has_to_lead_by_the_threshold(members, decision):
    assert decide(*members, rule="CONFIDENCE") == decision


def test_threshold_can_be_set():
    members = (Member(Voter(buy(0.8)), 3.0), Member(Voter(SELL), 1.0))
    assert decide(*members, rule="CONFIDENCE", threshold="0.35") == [("BUY", 0.8)]


def test_members_hear_of_fills_and_get_what_they_need():
    one = Voter(lookback=5, phases=frozenset({"OPEN_GUARD"}))
    other = Voter(lookback=9)
    both = ensemble(one, other)
    assert both.requirements() == Requirements(SECOND_NS, 9, frozenset({"OPEN_GUARD"}))
    both.on_fill("fill")
    both.on_reject("end")
    assert one.heard == other.heard == ["fill", "end"]


@pytest.mark.parametrize(
    ("members", "found"),
    [
        ((Voter(),), "of 1 members"),
        ((Voter(), Scalper()), "of track SCALP"),
        ((Voter(), Ticker()), "same bars"),
        ((Voter(), Voter(interval_ns=None)), "same bars"),
        ((Voter(), Voter(interval_ns=60 * SECOND_NS)), "same bars"),
        ((Voter(), Member(Voter(), 0.0)), "weight 0.0"),
        ((Voter(), Member(Voter(), float("nan"))), "weight nan"),
    ],
)
def test_members_that_do_not_fit_are_refused(members, found):
    with pytest.raises(UsageError, match=found):
        ensemble(*members)
