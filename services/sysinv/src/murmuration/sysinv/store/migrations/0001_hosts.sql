-- Hosts: the record as the contract has it, and the last message taken in from the host's agent.
create sequence host_index minvalue 0 start 0 maxvalue 99999;
create table host (
    name text primary key,
    index int not null unique,
    record jsonb not null,
    incarnation bigint not null default 0,
    n bigint not null default 0
);
