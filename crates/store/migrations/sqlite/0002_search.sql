-- Text search by trigrams (SQLite's FTS5; no copy of the text is kept). The row of a number is 2^53 minus its alias, of a stock
-- minus its serial: in ascending order the newest come first.
-- `tenant` holds one made-up trigram for the organization and whether the number is held, `agent` one for the agent: so a search
-- reads only the tenant's part of the index, and renaming an agent touches none of its numbers. `digits` (of the number, and
-- those that its label names) answers for three digits; `fours` holds a character for each two neighbouring digits, so that its
-- trigrams stand for four digits: far fewer rows have the same one.
CREATE VIRTUAL TABLE number_search USING fts5 (
    tenant, agent, digits, fours, label, content = '', contentless_delete = 1, tokenize = 'trigram'
);
CREATE VIRTUAL TABLE stock_search USING fts5 (
    digits, fours, content = '', contentless_delete = 1, tokenize = 'trigram'
);
