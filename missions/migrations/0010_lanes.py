"""The walk over the lanes of due missions, once for all statements that claim or look ahead."""

from django.db import migrations

from missions.sqlfiles import pair


class Migration(migrations.Migration):

    dependencies = [
        ('missions', '0009_shared_children'),
    ]

    operations = [
        pair(__file__, "0006_lanes"),
    ]
