"""The table schemas of Camtrap DP 1.0.2, as published: names, types, rules."""

TIME = {'type': 'datetime', 'format': '%Y-%m-%dT%H:%M:%S%z'}
REQUIRED = {'required': True}
SHARE = {'minimum': 0, 'maximum': 1}
SIZE = {'minimum': 1e-15, 'maximum': 1}


def field(name, kind='string', **rules):
    return {'name': name, 'type': kind, 'constraints': rules}


def time(name, **rules):
    return {'name': name, **TIME, 'constraints': rules}


def choice(name, *values, **rules):
    return field(name, enum=list(values), **rules)


def key(name, table=''):
    return {'fields': name, 'reference': {'resource': table, 'fields': name}}


DEPLOYMENTS = {
    'fields': [
        field('deploymentID', unique=True, **REQUIRED),
        field('locationID'),
        field('locationName'),
        field('latitude', 'number', minimum=-90, maximum=90, **REQUIRED),
        field('longitude', 'number', minimum=-180, maximum=180, **REQUIRED),
        field('coordinateUncertainty', 'integer', minimum=1),
        time('deploymentStart', **REQUIRED),
        time('deploymentEnd', **REQUIRED),
        field('setupBy'),
        field('cameraID'),
        field('cameraModel'),
        field('cameraDelay', 'integer', minimum=0),
        field('cameraHeight', 'number', minimum=0),
        field('cameraDepth', 'number', minimum=0),
        field('cameraTilt', 'integer', minimum=-90, maximum=90),
        field('cameraHeading', 'integer', minimum=0, maximum=360),
        field('detectionDistance', 'number', minimum=0),
        field('timestampIssues', 'boolean'),
        field('baitUse', 'boolean'),
        choice(
            'featureType',
            *('roadPaved', 'roadDirt', 'trailHiking', 'trailGame', 'roadUnderpass'),
            *('roadOverpass', 'roadBridge', 'culvert', 'burrow', 'nestSite', 'carcass'),
            *('waterSource', 'fruitingTree'),
        ),
        field('habitat'),
        field('deploymentGroups'),
        field('deploymentTags'),
        field('deploymentComments'),
    ],
    'primaryKey': 'deploymentID',
}
MEDIA = {
    'fields': [
        field('mediaID', unique=True, **REQUIRED),
        field('deploymentID', **REQUIRED),
        choice('captureMethod', 'activityDetection', 'timeLapse'),
        time('timestamp', **REQUIRED),
        field('filePath', pattern=r'^(?=^[^./~])(^((?!\.{2}).)*$).*$', **REQUIRED),
        field('filePublic', 'boolean', **REQUIRED),
        field('fileName'),
        field('fileMediatype', pattern='^(image|video|audio)/.*$', **REQUIRED),
        field('exifData', 'object'),
        field('favorite', 'boolean'),
        field('mediaComments'),
    ],
    'primaryKey': 'mediaID',
    'foreignKeys': [key('deploymentID', 'deployments')],
}
OBSERVATIONS = {
    'fields': [
        field('observationID', unique=True, **REQUIRED),
        field('deploymentID', **REQUIRED),
        field('mediaID'),
        field('eventID'),
        time('eventStart', **REQUIRED),
        time('eventEnd', **REQUIRED),
        choice('observationLevel', 'media', 'event', **REQUIRED),
        choice(
            'observationType',
            *('animal', 'human', 'vehicle', 'blank', 'unknown', 'unclassified'),
            **REQUIRED,
        ),
        choice('cameraSetupType', 'setup', 'calibration'),
        field('scientificName'),
        field('count', 'integer', minimum=1),
        choice('lifeStage', 'adult', 'subadult', 'juvenile'),
        choice('sex', 'female', 'male'),
        field('behavior'),
        field('individualID'),
        field('individualPositionRadius', 'number', minimum=0),
        field('individualPositionAngle', 'number', minimum=-90, maximum=90),
        field('individualSpeed', 'number', minimum=0),
        field('bboxX', 'number', **SHARE),
        field('bboxY', 'number', **SHARE),
        field('bboxWidth', 'number', **SIZE),
        field('bboxHeight', 'number', **SIZE),
        choice('classificationMethod', 'human', 'machine'),
        field('classifiedBy'),
        time('classificationTimestamp'),
        field('classificationProbability', 'number', **SHARE),
        field('observationTags'),
        field('observationComments'),
    ],
    'primaryKey': 'observationID',
    'foreignKeys': [key('deploymentID', 'deployments'), key('mediaID', 'media')],
}
SCHEMAS = {'deployments': DEPLOYMENTS, 'media': MEDIA, 'observations': OBSERVATIONS}

# What the package's profile requires beside resources of the names above.
PACKAGE = {
    *('resources', 'profile', 'created', 'contributors', 'project'),
    *('spatial', 'temporal', 'taxonomic'),
}
PROJECT = {'title', 'samplingDesign', 'captureMethod', 'individualAnimals', 'observationLevel'}
