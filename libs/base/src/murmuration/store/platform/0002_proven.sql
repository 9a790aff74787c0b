-- What it takes to be killed, frozen and put back at any moment. Owned by murmuration.store and murmuration.bus.

-- A database made from nothing is younger than every earlier one of its service, whatever readers remember of those.
update mur.life set epoch = extract(epoch from now())::bigint where epoch = 1 and change = 0;

-- Who the single writer is. Each holder of the advisory lock takes a new term; its transactions share-lock this row
-- and write only while the term is theirs, so a holder that was frozen and wakes up behind its successor writes nothing.
create table mur.lease (
    only_row boolean primary key default true check (only_row),
    term bigint not null,
    taken_at timestamptz not null default now()
);
insert into mur.lease (term) values (0);

-- The id of the last message taken in: two senders may bear the same (epoch, change).
alter table mur.position add column message text not null default '';

-- After a gap: what the sender's state already told of an entity. Events up to there are passed; gone once they are.
create table mur.floor (
    stream text not null,
    entity text not null,           -- as a bucket's key
    epoch bigint not null,
    change bigint not null,
    primary key (stream, entity)
);

-- Set before something newer of the same entity is applied: from then on a retry would be a step back.
alter table mur.parked add column superseded boolean not null default false;
create index parked_entity on mur.parked (stream, entity) where not superseded;

-- What is to be done in the world, decided in the same transaction as the state that wants it.
create table mur.effect (
    id bigint generated always as identity primary key,
    operation_id text not null unique,
    kind text not null,
    entity text not null,
    once boolean not null,          -- must not happen twice: marked sent before it is sent, never sent again
    body bytea not null,
    epoch bigint not null,          -- the life in which it was decided
    status text not null default 'open' check (status in ('open', 'sent', 'held', 'done', 'failed')),
    outcome text not null default '',
    created_at timestamptz not null default now(),
    changed_at timestamptz not null default now()
);
create index effect_unsettled on mur.effect (id) where status in ('open', 'sent', 'held');
