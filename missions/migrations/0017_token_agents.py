"""The agent that a token stands for, so that policies need not believe what a caller calls itself."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('missions', '0016_rulings'),
    ]

    operations = [
        migrations.AddField(
            model_name='apitoken',
            name='agent',
            field=models.CharField(blank=True, default='', help_text='The agent that acts with it: whose decisions from outside these are.', max_length=100),
            preserve_default=False,
        ),
    ]
