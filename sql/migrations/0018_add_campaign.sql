-- Campaign: one planning of the coming months: which buildings on which days. The newest one is in force.
CREATE TABLE campaign (
    campaign_id  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    planned_at   timestamptz NOT NULL,
    first_day    date NOT NULL,
    days         int NOT NULL CHECK (days BETWEEN 1 AND 800),
    rules        jsonb NOT NULL,                         -- the settings it was planned by
    figures      jsonb NOT NULL,                         -- doors due, planned, late, unreached, seconds ...
    actor        text NOT NULL
);

-- Campaign block: doors of one building on one day.
CREATE TABLE campaign_block (
    campaign_id     bigint NOT NULL REFERENCES campaign,
    day             date NOT NULL,
    building_id     int NOT NULL REFERENCES building,
    compound_id     int NOT NULL REFERENCES compound,
    area            text NOT NULL,
    doors           int NOT NULL,
    priority_doors  int NOT NULL,
    late_doors      int NOT NULL,                        -- due before that day
    work_s          int NOT NULL,
    PRIMARY KEY (campaign_id, day, building_id)
);
-- serves: when is this building's turn
CREATE INDEX campaign_block_building_idx ON campaign_block (building_id, campaign_id, day);

-- Campaign forecast: what becomes of the doors of an area that come due in a month.
CREATE TABLE campaign_forecast (
    campaign_id         bigint NOT NULL REFERENCES campaign,
    area                text NOT NULL,
    month               date NOT NULL,
    due                 int NOT NULL,
    on_time             int NOT NULL,
    late                int NOT NULL,
    unreached           int NOT NULL,
    priority_unreached  int NOT NULL,
    PRIMARY KEY (campaign_id, area, month)
);

-- Compound notice: the residents of a compound were told of a day on which inspectors come. One for each compound and day.
CREATE TABLE compound_notice (
    notice_id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    compound_id  int NOT NULL REFERENCES compound,
    day          date NOT NULL,                          -- the day of the visits
    campaign_id  bigint NOT NULL REFERENCES campaign,
    buildings    int NOT NULL,
    doors        int NOT NULL,
    due_on       date NOT NULL,                          -- to be out by then
    issued_at    timestamptz NOT NULL,
    posted_at    timestamptz,                            -- somebody confirmed that it hangs
    posted_by    text,
    CONSTRAINT compound_notice_key UNIQUE (compound_id, day)
);
-- serves: notices that are out, by the day of the visits
CREATE INDEX compound_notice_day_idx ON compound_notice (day);
