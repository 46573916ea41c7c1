"""Names of columns in wildlife tables, by their meaning."""

# Meaning -> ranks of names, in lower case and without spaces and punctuation. The first name that a
# table has is used. Within a rank, names of the identity mean the same thing; if a table has two of
# them with different content, the user must choose.
MEANINGS = {
    'identity': (
        (
            *('identity', 'individual', 'individualid', 'individualname'),
            *('markedindividualindividualid', 'encounterindividualid'),
            *('animalid', 'animal', 'animalname', 'identityid', 'individualcode', 'subjectid'),
        ),
        ('name', 'entity', 'entityid', 'pid', 'label'),
        ('id',),
        ('category',),
    ),
    'path': (
        (
            *('path', 'filepath', 'imagepath', 'photopath', 'mediaasset'),
            *('filename', 'imagefile', 'imagename'),
            *('file', 'image', 'photo', 'img', 'fname', 'picture'),
        ),
    ),
    'camera': (
        (
            *('camera', 'cam', 'cameraid', 'camid', 'cameraname'),
            *('deploymentid', 'deployment', 'station', 'stationid', 'trap', 'trapid'),
            *('location', 'locationid', 'encounterlocationid'),
            *('site', 'encounterverbatimlocality'),
        ),
    ),
    'side': (('side', 'flank', 'orientation', 'viewpoint', 'view', 'position'),),
    'date': (
        (
            *('datetime', 'timestamp', 'date', 'datecaptured', 'datetimeoriginal'),
            *('captured', 'dateobserved', 'eventdate', 'photodate'),
        ),
    ),
    'time': (('time', 'timeofday'),),
    'encounter': (
        (
            *('encounter', 'encounterid', 'sighting', 'sightingid'),
            *('occurrenceid', 'occurrenceoccurrenceid', 'sequence', 'sequenceid', 'seqid'),
            *('eventid', 'event', 'burst', 'video'),
        ),
    ),
    'bbox': (('bbox', 'box', 'boundingbox'),),
    'theta': (('theta',),),
    'split': (('split', 'subset', 'originalsplit', 'set'),),
    'species': (('species', 'scientificname', 'category'),),
}
NEEDED = {'identity': 'the individual', 'path': 'the path of the photo'}
BOXES = (  # four columns that form a box
    ('bboxx', 'bboxy', 'bboxwidth', 'bboxheight'),
    ('bboxx', 'bboxy', 'bboxw', 'bboxh'),
    ('x', 'y', 'w', 'h'),
    ('x', 'y', 'width', 'height'),
    ('left', 'top', 'width', 'height'),
    ('xmin', 'ymin', 'xmax', 'ymax'),
    ('x1', 'y1', 'x2', 'y2'),
)
CORNERS = {'xmax', 'x2'}
ANGLES = {'rotation', 'angle'}  # unknown unit and meaning, so not read as theta
DAY_PARTS = (('year', 'encounteryear'), ('month', 'encountermonth'), ('day', 'encounterday'))
CLOCK_PARTS = (('hour', 'encounterhour'), ('minute', 'minutes', 'encounterminutes'))
