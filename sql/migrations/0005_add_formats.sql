-- What foreign formats need to know of a device, what they say beyond native reports, and a reason for what says nothing.

ALTER TABLE device ADD COLUMN codec text;
ALTER TABLE device ADD COLUMN site_zone text;
ALTER TABLE device ADD COLUMN register_name text;
ALTER TABLE device ADD COLUMN alarm_level smallint CHECK (alarm_level IN (1, 2));
ALTER TABLE device ADD COLUMN volume_kind text NOT NULL DEFAULT 'cumulative' CHECK (volume_kind IN ('cumulative', 'interval'));

ALTER TABLE device_state ADD COLUMN battery_pct_at timestamptz;
ALTER TABLE device_state ADD COLUMN battery_pct real;
ALTER TABLE device_state ADD COLUMN presence_at timestamptz;
ALTER TABLE device_state ADD COLUMN presence text CHECK (presence IN ('online', 'offline', 'stale'));

ALTER TABLE quarantine DROP CONSTRAINT quarantine_reason_check;
ALTER TABLE quarantine ADD CONSTRAINT quarantine_reason_check CHECK (reason IN ('bad_topic', 'too_large', 'not_json',
    'invalid_field', 'not_understood', 'unknown_gateway', 'unknown_device', 'gateway_mismatch', 'time_out_of_range',
    'unstorable'));
