"""The tables of a catalogue, as SQLAlchemy Core describes them for any database."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    Float,
    ForeignKey,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.schema import SchemaItem

FORMAT = 1  # of the tables below; a catalogue of an older format is migrated when it is opened
SEXES = ('female', 'male', '')  # '' = unknown
# 'known': an individual of the catalogue; 'new': a new individual; 'unsure': nobody can tell;
# 'none': no animal, or one that cannot be identified
ANSWERS = ('known', 'new', 'unsure', 'none')
METHODS = ('human', 'machine')
LONGEST_NAME = 200  # characters

metadata = MetaData()


def _table(name: str, *items: SchemaItem) -> Table:
    """Return a table whose ids are never used again, so that deleted rows can come back."""
    key = Column('id', Integer, primary_key=True)
    return Table(name, metadata, key, *items, sqlite_autoincrement=True)


def _text(name: str, length: int = 0, unique: bool = False) -> Column[str]:
    return Column(name, String(length) if length else Text(), nullable=False, unique=unique)


def _choice(name: str, choices: tuple[str, ...]) -> Column[str]:
    column = _text(name, 10)
    return Column(name, String(10), CheckConstraint(column.in_(choices)), nullable=False)


def _reference(column: str, needed: bool = True) -> Column[int]:
    name = column.split('.')[0].removesuffix('s')
    return Column(f'{name}_id', ForeignKey(column), nullable=not needed, index=True)


settings = _table('settings', _text('name', 50, unique=True), _text('value'))
individuals = _table(
    'individuals',
    _text('name', LONGEST_NAME, unique=True),
    _choice('sex', SEXES),
    _text('notes'),
)
aliases = _table('aliases', _text('alias', LONGEST_NAME, unique=True), _reference('individuals.id'))
photos = _table(
    'photos',
    _text('path'),
    _text('sha256', 64),
    Column('bytes', BigInteger, nullable=False),
    _text('box', 200),
    Column('side', Integer),
    _text('camera', 200),
    Column('date', DateTime),
    _text('encounter', 400),
    _text('place', 400),
    _reference('individuals.id', needed=False),
    UniqueConstraint('sha256', 'box'),
)
models = _table(
    'models',
    _text('key', unique=True),
    _text('sha256', 64),
    Column('length', Integer, nullable=False),
    _text('file', 100, unique=True),
    Column('rows', Integer, nullable=False),  # in the file; also those that photos no longer use
    _text('config'),
    Column('created', DateTime, nullable=False),
)
features = _table(
    'features',
    _reference('models.id'),
    _reference('photos.id'),
    Column('row', Integer, nullable=False),
    Column('crc', BigInteger, nullable=False),
    UniqueConstraint('model_id', 'photo_id'),
    UniqueConstraint('model_id', 'row'),
)
decisions = _table(
    'decisions',
    _reference('photos.id'),
    _choice('answer', ANSWERS),
    _reference('individuals.id', needed=False),
    _text('said', LONGEST_NAME),
    _choice('method', METHODS),
    Column('probability', Float),
    _text('note'),
    _text('by', 200),
    _text('program', 100),
    Column('at', DateTime, nullable=False),
)
calibrations = _table(
    'calibrations',
    _reference('models.id'),
    _text('content'),
    _text('by', 200),
    Column('at', DateTime, nullable=False),
)
journal = _table(
    'journal',
    Column('at', DateTime, nullable=False),
    _text('by', 200),
    _text('program', 100),
    _text('action'),
    Column('undoes', ForeignKey('journal.id')),
)
changes = _table(
    'changes',
    Column('entry_id', ForeignKey('journal.id'), nullable=False, index=True),
    _text('table_name', 50),
    Column('row_id', Integer, nullable=False),
    Column('before', Text),
    Column('after', Text),
)

# What the journal records. Models are only ever added: rows of their files stay where they are.
JOURNALED = {
    table.name: table
    for table in (settings, individuals, aliases, photos, features, decisions, calibrations)
}
