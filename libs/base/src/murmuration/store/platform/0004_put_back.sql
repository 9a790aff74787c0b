-- When this database was found to be an older copy of itself: orders from before then wait.
alter table mur.life add column put_back_at timestamptz;
