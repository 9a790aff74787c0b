-- Whether a controller serves as a worker too (all in one).
alter table mirror_host add column all_in_one boolean not null default false;
