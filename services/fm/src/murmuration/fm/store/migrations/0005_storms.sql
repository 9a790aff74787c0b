-- What mtce puts the silence of a host down to: the entity of the alarm for it; empty when to nothing.
alter table place add column storm text not null default '';
