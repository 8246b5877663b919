drop index if exists decision_words;
drop trigger retraction_append_only on approvals_retraction;
drop trigger look_append_only on approvals_look;
drop trigger comment_append_only on approvals_comment;
