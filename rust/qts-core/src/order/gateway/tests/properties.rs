//! Whatever is asked, sent, answered and lost in whatever order.

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Step {
    Check { qty: i64 },
    Request { is_buy: bool, limit: i64, qty: i64, from_hold: bool, leased: bool },
    Redeem(usize),
    Void(usize),
    Answer(usize, u8),
    Fill { order: usize, event: u8, qty: i64, below: i64 },
    Amend { order: usize, limit: i64, qty: i64 },
    Cancel(usize),
    Close { hold: usize, keep: i64 },
    Claim { holder: usize, qty: i64 },
    Release,
    Raise,
    Calm,
}

fn step() -> impl Strategy<Value = Step> {
    let at = || 0_usize..8;
    prop_oneof![
        3 => (1_i64..60).prop_map(|qty| Step::Check { qty }),
        6 => (any::<bool>(), 695_i64..702, 1_i64..40, any::<bool>(), any::<bool>()).prop_map(
            |(is_buy, limit, qty, from_hold, leased)| Step::Request {
                is_buy, limit: limit * 100, qty, from_hold, leased
            }
        ),
        6 => at().prop_map(Step::Redeem),
        1 => at().prop_map(Step::Void),
        4 => (at(), 0_u8..8).prop_map(|(order, answer)| Step::Answer(order, answer)),
        6 => (at(), 0_u8..6, 1_i64..40, 0_i64..3)
            .prop_map(|(order, event, qty, below)| Step::Fill { order, event, qty, below: below * 100 }),
        2 => (at(), 695_i64..702, 1_i64..40)
            .prop_map(|(order, limit, qty)| Step::Amend { order, limit: limit * 100, qty }),
        2 => at().prop_map(Step::Cancel),
        2 => (at(), 0_i64..20).prop_map(|(hold, keep)| Step::Close { hold, keep }),
        1 => (0_usize..4, 1_i64..40).prop_map(|(holder, qty)| Step::Claim { holder, qty }),
        1 => Just(Step::Release),
        1 => Just(Step::Raise),
        1 => Just(Step::Calm),
    ]
}

struct World {
    gateway: Gateway,
    word: Arc<SafetyWord>,
    tickets: Vec<Ticket>,
    orders: Vec<OrderId>,
    holds: Vec<u64>,
    lease: u64,
}

impl World {
    fn new() -> Self {
        let mut gateway = gateway(5_000_000);
        let word = Arc::new(SafetyWord::new(ProtectiveExits::TrustedOnly));
        gateway.attach_safety(Arc::clone(&word));
        Self { gateway, word, tickets: Vec::new(), orders: Vec::new(), holds: Vec::new(), lease: 0 }
    }

    fn order(&self, at: usize) -> Option<OrderId> {
        // The newest ones: they are what can still change.
        self.orders.iter().rev().nth(at).copied()
    }

    fn take(&mut self, at: usize) -> Option<Ticket> {
        (at < self.tickets.len()).then(|| self.tickets.swap_remove(at))
    }

    fn carry_out(&mut self, step: &Step) {
        match *step {
            Step::Check { qty } => {
                let check = self.gateway.precheck(&decision(Side::Buy, qty), &FINE, T);
                if check.hold != 0 {
                    assert!(check.qty.0 > 0 && check.qty.0 <= qty && check.reason.is_empty());
                    self.holds.push(check.hold);
                }
            }
            Step::Request { is_buy, limit, qty, from_hold, leased } => {
                let mut wish = if is_buy { buy(limit, qty) } else { sell(limit, qty) };
                if is_buy && from_hold {
                    wish.terms.hold = self.holds.last().copied().unwrap_or(0);
                } else if !is_buy && leased {
                    wish.terms.lease = self.lease;
                }
                if let Ok(ticket) = self.gateway.request(&wish, T) {
                    self.orders.push(ticket.order());
                    self.tickets.push(ticket);
                }
            }
            Step::Redeem(at) => {
                let Some(ticket) = self.take(at) else { return };
                let id = ticket.order();
                let before = self.gateway.orders().known(id).copied();
                let sent = self.gateway.redeem(ticket, T);
                if let (Ok(message), Some(before)) = (sent, before) {
                    let is_buy = before.request.side == Side::Buy;
                    let is_raised = !self.word.permits(ActionClass::Entry);
                    assert!(!(is_buy && is_raised && message.action != Action::Cancel), "sent after a raise");
                    if message.action == Action::Place {
                        assert_eq!(before.state, OrderState::Validated, "sent twice");
                    }
                }
            }
            Step::Void(at) => {
                if let Some(ticket) = self.take(at) {
                    self.gateway.void(ticket);
                }
            }
            Step::Answer(at, number) => {
                const ANSWERS: [Answer; 8] = [
                    Answer::Acknowledged,
                    Answer::Rejected(false),
                    Answer::Rejected(true),
                    Answer::Lost,
                    Answer::Amended,
                    Answer::AmendRefused,
                    Answer::CancelRefused,
                    Answer::Cancelled,
                ];
                let Some(id) = self.order(at) else { return };
                let answer = ANSWERS[usize::from(number)];
                let before = *self.gateway.orders().known(id).unwrap();
                let after = self.gateway.on_answer(id, answer, T);
                if answer == Answer::Acknowledged && after.is_ok() {
                    self.gateway.note_number(id, &id.0.to_string());
                }
                if before.state.is_terminal() {
                    assert_eq!(after.unwrap().state, before.state, "a terminal state is never left");
                }
            }
            Step::Fill { order, event, qty, below } => self.fill(order, event, qty, below),
            Step::Amend { order, limit, qty } => {
                let Some(id) = self.order(order) else { return };
                let is_buy = self.gateway.orders().known(id).unwrap().request.side == Side::Buy;
                let action = if is_buy { ActionClass::Entry } else { ActionClass::ProtectiveExit };
                self.tickets.extend(self.gateway.request_amend(id, (Price(limit), Qty(qty)), action, T));
            }
            Step::Cancel(at) => {
                let Some(id) = self.order(at) else { return };
                self.tickets.extend(self.gateway.request_cancel(id, T));
            }
            Step::Close { hold, keep } => {
                if let Some(&hold) = self.holds.iter().rev().nth(hold) {
                    self.gateway.close_hold(hold, Qty(keep));
                }
            }
            Step::Claim { holder, qty } => {
                let claimed =
                    self.gateway.claim_exit(SAMSUNG, Track::Scalp, Holder::ALL[holder], Qty(qty), T);
                if let Ok((lease, _)) = claimed {
                    self.lease = lease;
                }
            }
            Step::Release => self.gateway.release_exit(self.lease),
            Step::Raise => drop(self.word.set_flags(Flags::ENTRIES_BLOCKED)),
            Step::Calm => self.word.clear_flags(self.word.value(), Flags::ENTRIES_BLOCKED).unwrap(),
        }
    }

    /// A fill as a venue gives it: of an order that has left and works, no more than is left, at the limit or better.
    fn fill(&mut self, at: usize, event: u8, qty: i64, below: i64) {
        let Some(id) = self.order(at) else { return };
        let order = *self.gateway.orders().known(id).unwrap();
        if order.state.is_terminal() || order.state == OrderState::Validated {
            return;
        }
        let qty = qty.min(order.fillable().0);
        let better = if order.request.side == Side::Buy { -below } else { below };
        let name = event.to_string();
        let report = fill(id, &name, qty, order.request.limit.0 + better);
        let cash = self.gateway.book().account().cash;
        let first = self.gateway.on_fill(&report, T).unwrap();
        let position = self.gateway.book().position(SAMSUNG, Track::Scalp).qty;
        assert_eq!(first.position, position);
        if first.state == FillState::Duplicate {
            assert_eq!(self.gateway.book().account().cash, cash, "booked twice");
        } else {
            assert!(matches!(first.state, FillState::Order(_)), "{first:?}");
            let again = self.gateway.on_fill(&report, T).unwrap();
            assert_eq!((again.state, again.cumulative), (FillState::Duplicate, first.cumulative));
            assert_eq!(self.gateway.book().position(SAMSUNG, Track::Scalp).qty, position);
        }
    }

    fn check(&self) {
        let gateway = &self.gateway;
        let own: i64 = gateway.orders().iter().map(|order| order.reserved.0).sum();
        assert_eq!(own + gateway.held().0, gateway.orders().reserved().0, "what is held is accounted for");
        assert!(free(gateway) >= 0, "cash is promised twice");
        let shares: i64 = gateway.orders().iter().map(|order| gateway.hold_of(order.id).0).sum();
        assert!(shares <= gateway.orders().reserved().0 + i64::try_from(self.orders.len()).unwrap());
        let (most, least) = gateway.exposure(SAMSUNG, Track::Scalp);
        assert!(least >= 0, "more is being sold than is held");
        assert!(most >= least);
        assert_eq!(gateway.oversold().count(), 0);
        let live: i64 = self.holds.iter().filter_map(|&hold| gateway.hold(hold)).map(|hold| hold.2.0).sum();
        let drawn = gateway.orders().iter().filter(|order| order.terms.hold != 0);
        assert_eq!(live, drawn.map(|order| order.remaining().0).sum::<i64>());
    }

    /// Ends everything: nothing may be held afterwards.
    fn end(&mut self) {
        for ticket in std::mem::take(&mut self.tickets) {
            self.gateway.void(ticket);
        }
        let working: Vec<OrderId> = self.gateway.orders().iter().map(|order| order.id).collect();
        for id in working {
            self.gateway.on_answer(id, Answer::Expired, T).unwrap();
        }
        for &hold in &self.holds {
            self.gateway.close_hold(hold, Qty(0));
            assert_eq!(self.gateway.hold(hold), None);
        }
        assert_eq!(self.gateway.orders().reserved(), Money(0));
        assert_eq!(self.gateway.open_permits(), 0);
        assert!(self.gateway.orders().is_empty());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    /// Cash is never promised twice, shares are never sold twice, no fill counts twice, no permit is good for two
    /// messages or for one after a raise of the safety word, and in the end nothing is held.
    #[test]
    fn nothing_is_spent_sold_sent_or_counted_twice(steps in prop::collection::vec(step(), 1..120)) {
        let mut world = World::new();
        for step in &steps {
            world.carry_out(step);
            world.check();
        }
        world.end();
    }

    /// However messages are asked for, no more leave in any second than the budget and one second's refill allow, and
    /// entries never touch what is kept for exits and cancels.
    #[test]
    fn no_more_leaves_than_the_broker_takes(wishes in prop::collection::vec((0_i64..200, any::<bool>()), 1..200)) {
        let mut gateway = gateway_with(i64::MAX / 2, GatewayConfig::default());
        let mut now_ns = T;
        let mut sent = Vec::new();
        for (number, (wait_ms, is_used)) in wishes.into_iter().enumerate() {
            now_ns += wait_ms * MS;
            let wish = buy(70_000, 1 + i64::try_from(number).unwrap());
            match gateway.request(&wish, now_ns) {
                Ok(ticket) if is_used => {
                    gateway.redeem(ticket, now_ns).unwrap();
                    sent.push(now_ns);
                    let last_second = sent.iter().filter(|&&at_ns| at_ns > now_ns - 1_000 * MS).count();
                    prop_assert!(last_second <= 12, "four at once and eight a second");
                }
                Ok(ticket) => gateway.void(ticket),
                Err((_, refused)) => {
                    prop_assert_eq!(refused.reason, Refusal::RateLimit);
                    let at_ns = refused.retry_at_ns;
                    prop_assert!(at_ns > now_ns && at_ns <= now_ns + 125 * MS);
                    let ticket = gateway.request(&wish, at_ns);
                    prop_assert!(ticket.is_ok(), "it said when to come back");
                    if let Ok(ticket) = ticket {
                        gateway.void(ticket);
                    }
                    now_ns = at_ns;
                }
            }
        }
    }
}
