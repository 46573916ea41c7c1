"""What columns of wildlife tables are called, by what they mean."""

# Names without case, blanks and punctuation; the first that a table has is taken. Meanings have
# ranks of names: within a rank of identities the names mean the same thing, so where a table has
# two of them and they differ somebody has to choose.
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
NEEDED = {'identity': 'who the animal is', 'path': 'where the photo is'}
BOXES = (  # boxes that are spread over four columns
    ('bboxx', 'bboxy', 'bboxwidth', 'bboxheight'),
    ('bboxx', 'bboxy', 'bboxw', 'bboxh'),
    ('x', 'y', 'w', 'h'),
    ('x', 'y', 'width', 'height'),
    ('left', 'top', 'width', 'height'),
    ('xmin', 'ymin', 'xmax', 'ymax'),
    ('x1', 'y1', 'x2', 'y2'),
)
CORNERS = {'xmax', 'x2'}
ANGLES = {'rotation', 'angle'}  # of something, in some unit: not read as theta
DAY_PARTS = (('year', 'encounteryear'), ('month', 'encountermonth'), ('day', 'encounterday'))
CLOCK_PARTS = (('hour', 'encounterhour'), ('minute', 'minutes', 'encounterminutes'))
