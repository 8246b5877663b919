"""A new table that refers to missions, and one more column on each table that workers write all the time."""

import django.db.models.deletion
from django.db import migrations, models

ADDED = ("missions_mission", "missions_worker", "missions_effect")


class Migration(migrations.Migration):
    initial = True
    dependencies = [("missions", "0001_initial")]
    operations = [
        migrations.CreateModel(
            name="Parcel",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("weight", models.IntegerField(default=0)),
                ("mission", models.ForeignKey(
                    on_delete=django.db.models.deletion.CASCADE, related_name="+", to="missions.mission",
                )),
            ],
        ),
        *(
            migrations.RunSQL(
                f"alter table {table} add column courier text not null default 'post'",
                f"alter table {table} drop column courier",
            )
            for table in ADDED
        ),
    ]
