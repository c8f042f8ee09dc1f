-- A door may be left out because the day is not worked.
ALTER TABLE omission DROP CONSTRAINT omission_constraint_check;
ALTER TABLE omission ADD CONSTRAINT omission_constraint_check CHECK ("constraint" IN (
    'skill', 'area', 'window', 'shift', 'capacity', 'crowded_out', 'calendar'));
