-- Numbering and storing what a transaction says, with less to send and to sort. Owned by murmuration.store.
-- The earlier mur.append stays: the previous version of the code calls it while both run.

-- Must be the transaction's last statement. What rows have in common comes once, as kinds (from 1); of each row:
-- how many rows back the one before it to the same stream is, 0: not in this transaction. Null as a whole may be kinds
-- (all are of the first), backs (all are of one stream), keys and states.
create function mur.append(
    streams text[], types text[], traceparents text[], buckets text[],
    kinds int[], backs int[], subjects text[], entities text[], bodies bytea[], keys text[], states bytea[]
) returns table (epoch bigint, change bigint) language plpgsql as $$
declare
    life mur.life;
    count bigint := cardinality(subjects);
begin
    update mur.life l set change = l.change + count returning l.* into life;
    insert into mur.outbox
        (change, epoch, stream, previous, subject, type, entity, traceparent, body, bucket, key, state)
    select life.change - count + r.i, life.epoch, streams[r.kind],
        case when r.back > 0 then life.change - count + r.i - r.back else coalesce(
            (select s.change from mur.last_sent s where s.stream = streams[r.kind] and s.epoch = life.epoch), 0)
        end,
        r.subject, types[r.kind], r.entity, traceparents[r.kind], r.body, buckets[r.kind], r.key, r.state
    from (
        select coalesce(u.kind, 1) as kind, coalesce(u.back, least(u.i - 1, 1)) as back,
            u.subject, u.entity, u.body, u.key, u.state, u.i
        from unnest(kinds, backs, subjects, entities, bodies, keys, states)
            with ordinality as u (kind, back, subject, entity, body, key, state, i)
    ) r;
    insert into mur.last_sent as s (stream, epoch, change)
    select streams[coalesce(k.kind, 1)], life.epoch, life.change - count + max(k.i)
    from unnest(kinds, subjects) with ordinality as k (kind, subject, i) group by 1
    on conflict on constraint last_sent_pkey do update set epoch = excluded.epoch, change = excluded.change;
    return query select life.epoch, life.change;
end $$;

-- The rows to be published next. A function for its settings alone: without them a table that was not analysed lately
-- is read and sorted as a whole for every window, and to catch up takes the square of what waits.
create function mur.unsent(wanted text, after bigint, life bigint, most int) returns table (
    change bigint, epoch bigint, previous bigint, subject text, type text, entity text, traceparent text, body bytea,
    bucket text, key text, state bytea, at text
) language sql stable set enable_bitmapscan = off set enable_sort = off as $$
    select o.change, o.epoch, o.previous, o.subject, o.type, o.entity, o.traceparent, o.body, o.bucket, o.key, o.state,
        to_char(o.created_at at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
    from mur.outbox o where o.stream = wanted and o.change > after and o.epoch = life
    order by o.stream, o.change limit most
$$;

-- An operator who drops a held effect says so here; the executor settles it, with what follows from that.
alter table mur.effect drop constraint effect_status_check;
alter table mur.effect add constraint effect_status_check
    check (status in ('open', 'sent', 'held', 'dropped', 'done', 'failed'));
drop index mur.effect_unsettled;
create index effect_unsettled on mur.effect (id) where status in ('open', 'sent', 'held', 'dropped');
