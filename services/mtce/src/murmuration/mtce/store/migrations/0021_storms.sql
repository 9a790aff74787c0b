-- What hosts share, as far as sysinv tells: a failure of it silences all of them.
create table host_share (
    host text not null,
    kind text not null,
    key text not null,
    primary key (host, kind, key)
);

-- Hosts that fell silent together are held back from recovery while their common cause lasts.
create table storm (
    number bigint generated always as identity primary key,
    kind text not null,
    key text not null,
    reason text not null,
    begun_at timestamptz not null,
    calm_at timestamptz,            -- since when its hosts are let go one by one
    ended_at timestamptz
);
create index storm_open on storm (number) where ended_at is null;

create table storm_host (
    storm bigint not null references storm (number) on delete cascade,
    host text not null,
    held boolean not null default true,   -- false: let go, or heard again
    primary key (storm, host)
);
