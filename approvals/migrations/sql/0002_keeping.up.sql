-- Votes leave with the mission that they were about, like its journal: see missions/migrations/sql/0003_keeping.up.sql.
create function approvals_refuse_vote_change() returns trigger
language plpgsql
as $$
begin
    if tg_op = 'DELETE' and old.mission_id::text = current_setting('standfast.archiving', true) then
        if exists (
            select from missions_archive
            where mission_id = old.mission_id and removed_at is null and returned_at is null
        ) then
            return old;
        end if;
    end if;
    raise exception '% is append-only: % refused', tg_table_name, lower(tg_op)
        using errcode = 'restrict_violation';
end
$$;

drop trigger vote_append_only on approvals_vote;
create trigger vote_append_only before update or delete on approvals_vote
    for each row execute function approvals_refuse_vote_change();
