-- What the ORM can not say: comments, looks and retractions are never changed and leave with their mission, as votes do;
-- what is asked is searched by trigrams where the server has them; and rows of before are filled in.
create trigger comment_append_only before update or delete on approvals_comment
    for each row execute function approvals_refuse_vote_change();
create trigger look_append_only before update or delete on approvals_look
    for each row execute function approvals_refuse_vote_change();
create trigger retraction_append_only before update or delete on approvals_retraction
    for each row execute function approvals_refuse_vote_change();

do $$
begin
    if exists (select from pg_available_extensions where name = 'pg_trgm') then
        create extension if not exists pg_trgm;
        create index decision_words on approvals_decision
            using gin (upper(searched::text) gin_trgm_ops) with (fastupdate = off);
    end if;
end
$$;

update approvals_decision d set
    searched = d.sentence || coalesce((select ' ' || b.title from missions_brief b where b.mission_id = d.mission_id), ''),
    asked_digest = d.digest, tool = left(coalesce(d.action ->> 'tool', ''), 200),
    mission_type = coalesce((select m.type from missions_mission m where m.id = d.mission_id), ''),
    audience = array(
        select distinct 'g:' || t."group" from approvals_tier t where t.decision_id = d.id
        union
        select 'u:' || d.requested_by_id where d.requested_by_id is not null
        union
        select 'u:' || b.started_by_id from missions_brief b
        where b.mission_id = d.mission_id and b.started_by_id is not null
    );
