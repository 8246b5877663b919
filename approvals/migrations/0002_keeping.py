from django.db import migrations

from missions.sqlfiles import pair


class Migration(migrations.Migration):

    dependencies = [
        ("approvals", "0001_initial"),
        ("missions", "0003_keeping"),
    ]

    operations = [
        pair(__file__, "0002_keeping"),
    ]
