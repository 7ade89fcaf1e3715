-- What is read off the books. Amounts are INTEGER in the scales that stand beside them. A reversal counts against what
-- it takes back; a fee that is charged later has no amount.

CREATE VIEW positions_by_symbol AS
SELECT p.account_id, p.symbol, min(p.market) AS market, i.currency, i.qty_scale, i.money_scale, sum(p.qty) AS qty,
    sum(p.cost_total) AS cost_total, sum(p.exposure_value) AS exposure_value, sum(p.exposure_pct) AS exposure_pct,
    sum(p.unrealized_pnl) AS unrealized_pnl, sum(p.realized_pnl) AS realized_pnl, min(p.opened_ns) AS opened_ns,
    sum(p.version) AS version, max(p.oversold) AS oversold, max(p.updated_at) AS updated_at
FROM positions p JOIN instruments i ON i.symbol = p.symbol
GROUP BY p.account_id, p.symbol;

CREATE VIEW daily_pnl AS
SELECT l.account_id, l.trade_date AS day, l.symbol, ifnull(sum(l.realized_pnl), 0) AS realized_pnl,
    count(*) FILTER (WHERE l.entry_type = 'FILL') AS trade_count,
    sum(CASE WHEN (l.side = 'SELL') = (l.entry_type <> 'REVERSAL') THEN l.amount ELSE -l.amount END) AS net_cash_flow,
    sum(CASE WHEN l.entry_type = 'REVERSAL' THEN -l.fee ELSE l.fee END) AS fees,
    sum(CASE WHEN l.entry_type = 'REVERSAL' THEN -l.tax ELSE l.tax END) AS taxes,
    i.price_scale, i.qty_scale, i.money_scale
FROM t_ledger l JOIN instruments i ON i.symbol = l.symbol
GROUP BY l.account_id, l.symbol, l.trade_date;

-- `hour` is UTC microseconds.
CREATE VIEW hourly_pnl AS
SELECT l.account_id, l.exec_ns / 3600000000000 * 3600000000 AS hour, l.symbol,
    ifnull(sum(l.realized_pnl), 0) AS realized_pnl, count(*) FILTER (WHERE l.entry_type = 'FILL') AS trade_count,
    i.money_scale
FROM t_ledger l JOIN instruments i ON i.symbol = l.symbol
GROUP BY l.account_id, l.symbol, l.exec_ns / 3600000000000;

CREATE VIEW daily_metrics AS
SELECT account_id, trade_date AS day, total_equity, daily_pnl, net_flow, daily_return, cumulative_return,
    volatility_20d, high_watermark, drawdown, mdd, nav
FROM equity_history;

-- `avg_pnl` is in whole units, cut off; `win_rate` is in ten-thousandths.
CREATE VIEW strategy_performance AS
SELECT l.account_id, l.strategy_tag, i.currency, i.money_scale,
    count(*) FILTER (WHERE l.entry_type = 'FILL') AS trade_count,
    count(*) FILTER (WHERE l.realized_pnl > 0) AS win_count,
    count(*) FILTER (WHERE l.realized_pnl < 0) AS loss_count,
    ifnull(sum(l.realized_pnl), 0) AS realized_pnl,
    sum(l.realized_pnl) / nullif(count(l.realized_pnl), 0) AS avg_pnl,
    count(*) FILTER (WHERE l.realized_pnl > 0) * 10000 / nullif(count(l.realized_pnl), 0) AS win_rate
FROM t_ledger l JOIN instruments i ON i.symbol = l.symbol
GROUP BY l.account_id, l.strategy_tag, i.currency, i.money_scale;
