-- Rules about days read what is rolled up, so they have a stream of their own that follows the roll-up. What was evaluated
-- before is not evaluated again: the stream begins where days are rolled up to, or with the readings where aggregates do that.
ALTER TABLE rule_cursor DROP CONSTRAINT rule_cursor_stream_check;
ALTER TABLE rule_cursor ADD CONSTRAINT rule_cursor_stream_check
    CHECK (stream IN ('events', 'readings', 'instants', 'days'));
INSERT INTO rule_cursor (stream, slot, batch_id)
SELECT 'days', r.slot, CASE WHEN (SELECT edition FROM storage_edition) = 'community' THEN r.batch_id
                            ELSE coalesce((SELECT c.batch_id FROM rollup_cursor c WHERE c.slot = r.slot), 0) END
FROM rule_cursor r WHERE r.stream = 'readings';

CREATE OR REPLACE FUNCTION batches_read(OUT slot text, OUT batch_id bigint) RETURNS SETOF record
LANGUAGE sql STABLE SET search_path = pg_catalog, public AS $$
    SELECT s.slot, least(
        (SELECT CASE count(*) WHEN 4 THEN min(r.batch_id) ELSE 0 END FROM public.rule_cursor r WHERE r.slot = s.slot),
        CASE WHEN (SELECT e.edition FROM public.storage_edition e) = 'community' THEN 9223372036854775807
             ELSE coalesce((SELECT c.batch_id FROM public.rollup_cursor c WHERE c.slot = s.slot), 0) END)
    FROM (SELECT DISTINCT b.slot FROM public.batch b) s
$$;
