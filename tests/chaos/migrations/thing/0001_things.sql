create table thing (name text primary key, count bigint not null);
create table acknowledged (name text not null, count bigint not null, n bigint generated always as identity);
