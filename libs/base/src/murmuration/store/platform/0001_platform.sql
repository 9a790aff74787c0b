-- What every service's database holds beside the service's own tables. Owned by murmuration.store and murmuration.bus.
create schema if not exists mur;

-- The life of this database, and the number of the last change in it. One row. Its row lock, held to the end of a
-- transaction, is what makes order of numbers order of commit, and leaves no gap behind a rollback.
create table mur.life (
    only_row boolean primary key default true check (only_row),
    epoch bigint not null,
    change bigint not null,
    reason text not null,
    started_at timestamptz not null default now()
);
insert into mur.life (epoch, change, reason) values (1, 0, 'created');

-- What is to be published: rows stay 24 hours after that, so that a stream which lost its tail can be filled again.
create table mur.outbox (
    change bigint primary key,
    epoch bigint not null,
    stream text not null,
    previous bigint not null,       -- the change before this one that went to the same stream in this epoch, 0: none
    subject text not null,
    type text not null,
    entity text not null,
    traceparent text,
    body bytea not null,
    bucket text,                    -- with key: the state this change leaves behind
    key text,
    state bytea,                    -- null with bucket: a tombstone
    created_at timestamptz not null default now()
);
create index outbox_stream on mur.outbox (stream, change);
create index outbox_created_at on mur.outbox using brin (created_at); -- rows come in order of time

-- The last change sent to each stream; for a foreign stream, what its owner has confirmed.
create table mur.cursor (
    stream text primary key,
    epoch bigint not null,
    change bigint not null,
    sequence bigint not null default 0
);
create table mur.last_sent (
    stream text primary key,
    epoch bigint not null,
    change bigint not null
);

-- How far each other service's stream has been read; moved in the same transaction as the effects.
create table mur.position (
    sender text primary key,
    epoch bigint not null,
    change bigint not null,
    sequence bigint not null
);

-- How far each producer's intake has been taken in.
create table mur.mark (
    producer text primary key,
    incarnation bigint not null,
    n bigint not null,
    heard_at timestamptz not null default now()
);

-- What could not be decoded or applied, set aside so that nothing behind it waits.
create table mur.parked (
    id bigint generated always as identity primary key,
    stream text not null,
    sequence bigint not null,
    subject text not null,
    type text not null,
    entity text not null,
    epoch bigint not null,
    change bigint not null,
    headers jsonb not null,
    body bytea not null,
    reason text not null,
    parked_at timestamptz not null default now()
);

-- Commands already answered: a repeat returns the first answer.
create table mur.operation (
    operation_id text primary key,
    type text not null,
    digest bytea not null,
    reply bytea not null,
    created_at timestamptz not null default now()
);
create index operation_created_at on mur.operation (created_at);

-- Numbers the rows of one transaction and stores them; must be the transaction's last statement.
create function mur.append(
    streams text[], subjects text[], types text[], entities text[], traceparents text[],
    bodies bytea[], buckets text[], keys text[], states bytea[]
) returns table (epoch bigint, change bigint) language plpgsql as $$
declare
    life mur.life;
    count bigint := cardinality(subjects);
begin
    update mur.life l set change = l.change + count returning l.* into life;
    with row as (
        select life.change - count + r.i as change, r.*
        from unnest(streams, subjects, types, entities, traceparents, bodies, buckets, keys, states)
            with ordinality as r (stream, subject, type, entity, traceparent, body, bucket, key, state, i)
    ), linked as (
        select row.*, coalesce(
            lag(row.change) over (partition by row.stream order by row.i),
            (select s.change from mur.last_sent s where s.stream = row.stream and s.epoch = life.epoch),
            0) as previous
        from row
    ), stored as (
        insert into mur.outbox
            (change, epoch, stream, previous, subject, type, entity, traceparent, body, bucket, key, state)
        select l.change, life.epoch, l.stream, l.previous, l.subject, l.type, l.entity, l.traceparent,
            l.body, l.bucket, l.key, l.state
        from linked l
    )
    insert into mur.last_sent as s (stream, epoch, change)
    select row.stream, life.epoch, max(row.change) from row group by row.stream
    on conflict on constraint last_sent_pkey do update set epoch = excluded.epoch, change = excluded.change;
    return query select life.epoch, life.change;
end $$;
