-- To become the one writer and learn the small facts as they then are, in one round trip: within a volatile function each
-- statement sees what was committed before it, so the facts are those after the wait. (The number: any, the same in every
-- replica; see store/alarms.py.)
create function take_lock(today text) returns table (lease_clock_s bigint, policy bigint, has_today boolean)
language plpgsql volatile as $$
begin
    perform pg_advisory_xact_lock(1718433641);
    return query select s.lease_clock_s, s.policy, to_regclass(today) is not null from state s;
end $$;
