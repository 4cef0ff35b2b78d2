-- Panes that have been counted while some of their messages are not in a closed window yet: a watcher that begins anew reads
-- them again, so that drift_state need not hold them.
CREATE TABLE drift_held (
    first_offset bigint  NOT NULL,
    next_offset  bigint  NOT NULL,
    "partition"  integer NOT NULL,
    model        integer NOT NULL,
    topic        text    NOT NULL,
    payload      bytea   NOT NULL,
    PRIMARY KEY (topic, "partition", first_offset)
);
