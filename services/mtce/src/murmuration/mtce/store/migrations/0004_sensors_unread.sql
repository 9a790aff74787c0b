-- BMCs that answer and whose sensors cannot be read, and the alarm that says so.
create table bmc_sensors_unread (
    host text primary key,
    alarm_id text not null,
    reason text not null,
    raised_at timestamptz not null
);
