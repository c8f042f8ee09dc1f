-- Two homes may alarm behind one gateway before the rules look: every name is kept, not the newest alone.
ALTER TABLE unread_alarm ADD COLUMN claimed_devices text[] NOT NULL DEFAULT '{}';
