-- Dead letters are counted by status every few seconds, and resolved ones pile up.
create index if not exists dead_letters_status on ops.dead_letters (layer, status);
