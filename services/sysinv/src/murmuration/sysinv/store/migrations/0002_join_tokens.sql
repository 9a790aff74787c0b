-- Join tokens that were used: each is good for the key that used it first.
create table join_token (
    id text primary key,
    host text not null,
    node_nkey text not null,
    used_at timestamptz not null
);
