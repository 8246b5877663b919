from django.db import migrations

from missions.sqlfiles import pair


class Migration(migrations.Migration):

    dependencies = [
        ("approvals", "0002_standing"),
        ("missions", "0003_keeping"),
    ]

    operations = [
        pair(__file__, "0002_keeping"),
    ]
