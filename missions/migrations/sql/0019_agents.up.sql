-- What the ORM can not say: what an agent was stays as it was said, and so does who put it in force; what belongs to a
-- mission leaves with it, for the archive alone.
create function missions_refuse_agent_change() returns trigger
language plpgsql
as $$
begin
    raise exception '% is append-only: % refused', tg_table_name, lower(tg_op)
        using errcode = 'restrict_violation';
end
$$;

create trigger agent_version_immutable before update or delete on missions_agentversion
    for each row execute function missions_refuse_agent_change();
create trigger activation_append_only before update or delete on missions_activation
    for each row execute function missions_refuse_agent_change();
create trigger engagement_append_only before update or delete on missions_engagement
    for each row execute function missions_refuse_change();
create trigger goal_append_only before update or delete on missions_goal
    for each row execute function missions_refuse_change();
