drop function missions_lanes;
