create table mirror (name text primary key, count bigint not null, epoch bigint not null, change bigint not null);
create table seen (
    n bigint generated always as identity primary key,
    name text not null, count bigint not null, afresh boolean not null, epoch bigint not null, change bigint not null
);
create table epoch (epoch bigint not null, reason text not null);
