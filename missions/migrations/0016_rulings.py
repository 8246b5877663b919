"""The one index of the journal beside its key: over rulings, which a replay of history walks."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):

    atomic = False

    dependencies = [
        ('missions', '0015_listeners'),
    ]

    operations = [
        AddIndexConcurrently(
            model_name='entry',
            index=models.Index(condition=models.Q(('kind', 'ruling')), fields=['recorded_at', 'mission_id', 'seq'], name='journal_rulings'),
        ),
    ]
