-- Which operation told the present intent of a host, and what was intended before: if mtce refuses
-- it, or cannot do it, the intent is put back.
create table intent (
    host text primary key,
    operation_id text not null,
    action text not null,
    before text not null            -- locked or unlocked
);
