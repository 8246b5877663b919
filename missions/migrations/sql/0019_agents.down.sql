drop trigger goal_append_only on missions_goal;
drop trigger engagement_append_only on missions_engagement;
drop trigger activation_append_only on missions_activation;
drop trigger agent_version_immutable on missions_agentversion;
drop function missions_refuse_agent_change();
