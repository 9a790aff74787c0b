-- Who is told of alarms, what is grouped for whom, and what is still to be delivered.

create table receiver (
    name text primary key,
    record bytea not null,                      -- Receiver as JSON
    delivered_at timestamptz,
    failed_at timestamptz,
    error text not null default ''              -- of the last failure
);

-- How far history is grouped, and by which routing.
create table notifying (
    only_row boolean primary key default true check (only_row),
    routing bytea not null default '{}',        -- Routing as JSON
    generation bigint not null default 1,       -- grows with each change of routing and receivers
    grouped bigint not null default 0,          -- the generation by which all alarms are grouped
    read_to bigint not null default 0,          -- id of history up to which alarms are grouped
    read_at timestamptz not null default now()  -- when that was: the days of history before it are not looked at
);
insert into notifying default values;

create table silence (
    id uuid primary key,
    record bytea not null,                      -- Silence as JSON
    ends_at timestamptz not null
);
create index silence_by_end on silence (ends_at);

create table notify_group (
    receiver text not null references receiver on delete cascade,
    route text not null,
    labels text not null,                       -- JSON object, keys in order
    due_at timestamptz not null,                -- when it is looked at
    told_at timestamptz,
    primary key (receiver, route, labels)
);
create index notify_group_due on notify_group (due_at);

create table notify_member (
    receiver text not null,
    route text not null,
    labels text not null,
    uuid uuid not null,
    cleared_at timestamptz,                     -- null: it is firing
    told boolean not null default false,        -- that it is firing
    news boolean not null default true,         -- that it is firing is to be told, as it is now
    generation bigint not null,                 -- of the routing that put it here
    primary key (receiver, route, labels, uuid),
    foreign key (receiver, route, labels) references notify_group on delete cascade
);
create index notify_member_uuid on notify_member (uuid);

create table delivery (
    id bigint generated always as identity primary key,
    receiver text not null references receiver on delete cascade,
    labels text not null,                       -- of its group
    body bytea not null,
    created_at timestamptz not null,
    attempts integer not null default 0,
    next_at timestamptz not null,
    dead boolean not null default false,        -- given up
    error text not null default ''
);
create index delivery_open on delivery (receiver, id) where not dead;
create index delivery_dead on delivery (receiver, id) where dead;
