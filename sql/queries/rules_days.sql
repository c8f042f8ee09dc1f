-- Statements of the package `rules` about days, which follow the roll-up. Format: see sql/__init__.py.

-- rolled_up_slots() --
-- Slots with batches that are rolled up and whose days the rules have not judged.
SELECT c.slot FROM rule_cursor c JOIN rollup_cursor r ON r.slot = c.slot
WHERE c.stream = 'days' AND c.batch_id < r.batch_id ORDER BY c.slot;

-- rolled_up_batches_after(slot, batch_id, count) --
-- The next batches of a slot that are rolled up, in commit order, with the devices and the device time they touched.
SELECT batch_id, device_ids, first_at, last_at FROM batch
WHERE slot = $1 AND batch_id > $2 AND batch_id <= (SELECT r.batch_id FROM rollup_cursor r WHERE r.slot = $1)
ORDER BY batch_id LIMIT $3;
