drop sequence missions_tide;
