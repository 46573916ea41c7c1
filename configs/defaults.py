"""Every key there is, with its published default. The only list of keys; ymls and the command line
change values.

Keys marked (kept) change nothing: they stay so that old ymls load, and setting one to another value
is warned of.
"""

from yacs.config import CfgNode as CN

_C = CN()

# ---------------------------------------------------------------- model
_C.MODEL = CN()
_C.MODEL.DEVICE = (
    'cuda'  # 'cuda', 'cpu' or 'mps'; where there is no such device: a warning, and the CPU
)
_C.MODEL.DEVICE_ID = '0'  # (kept) CUDA_VISIBLE_DEVICES of the user decides which GPU is seen
# OpenAI CLIP image encoder: RN50, RN101, RN50x4, RN50x16, RN50x64, ViT-B-32, ViT-B-16, ViT-L-14…
_C.MODEL.NAME = 'RN50'
_C.MODEL.LAST_STRIDE = 1  # (kept) stride of the last residual stage; the method is defined with 1
# file for PRETRAIN_CHOICE; '' = OpenAI's official file for NAME, from the cache or downloaded
_C.MODEL.PRETRAIN_PATH = ''
_C.MODEL.PRETRAIN_CHOICE = (
    'imagenet'  # 'imagenet' or 'clip' = CLIP weights; 'random'; 'self' = the whole model from
)
# PRETRAIN_PATH; 'finetune' = only its encoders (other individuals, fresh heads)
# a sentence with four X, one for each learned token; '' = by data set (spec: person, vehicle)
_C.MODEL.PROMPT = ''
_C.MODEL.NECK = 'bnneck'  # (only 'bnneck') batch normalisation between feature and classifier
_C.MODEL.IF_WITH_CENTER = 'no'  # 'yes' adds the center loss
_C.MODEL.ID_LOSS_TYPE = 'softmax'  # (only 'softmax') cross entropy on linear classifiers
_C.MODEL.ID_LOSS_WEIGHT = 1.0  # weight of the ID loss, summed over two classifiers
_C.MODEL.TRIPLET_LOSS_WEIGHT = 1.0  # weight of the triplet loss, summed over three features
_C.MODEL.I2T_LOSS_WEIGHT = 1.0  # weight of the image-to-text cross entropy
_C.MODEL.METRIC_LOSS_TYPE = 'triplet'  # 'triplet', 'triplet_center' or 'center'
_C.MODEL.DIST_TRAIN = (
    False  # True = several processes: torchrun --nproc_per_node N train_clipreid.py …
)
_C.MODEL.SYNC_BN = (
    False  # True = a ResNet's batch norms see the photos of all processes (CUDA only)
)
_C.MODEL.NO_MARGIN = False  # True = soft-margin triplet, SOLVER.MARGIN is then not used
_C.MODEL.IF_LABELSMOOTH = 'on'  # 'on' = label smoothing of 0.1 in ID and image-to-text losses
_C.MODEL.COS_LAYER = False  # (only False)
_C.MODEL.DROP_PATH = 0.1  # (kept)
_C.MODEL.DROP_OUT = 0.0  # (kept)
_C.MODEL.ATT_DROP_RATE = 0.0  # (kept)
_C.MODEL.TRANSFORMER_TYPE = 'None'  # (kept)
_C.MODEL.STRIDE_SIZE = [
    16,
    16,
]  # pixels (y, x) from patch to patch (ViT); smaller than the patch = overlapping patches
_C.MODEL.SIE_COE = 3.0  # factor of the side-information embedding (ViT)
_C.MODEL.SIE_CAMERA = False  # True = an embedding for each camera is added to the class token
_C.MODEL.SIE_VIEW = False  # True = an embedding for each view; with SIE_CAMERA for each pair
# of CLIP's transformers: 'quickgelu' (OpenAI's), 'gelu' (open_clip's), 'auto' = by the file
_C.MODEL.ACTIVATION = 'auto'
# True = torch.compile for the image encoder: minutes at the start, then faster steps on a GPU
_C.MODEL.COMPILE = False

# ---------------------------------------------------------------- photos
_C.INPUT = CN()
_C.INPUT.SIZE_TRAIN = [384, 128]  # height, width in pixels
_C.INPUT.SIZE_TEST = [384, 128]  # height, width in pixels
_C.INPUT.PROB = 0.5  # probability of a horizontal flip
_C.INPUT.RE_PROB = 0.5  # probability of random erasing
_C.INPUT.PIXEL_MEAN = [0.485, 0.456, 0.406]  # per channel (R, G, B), of values in 0…1
_C.INPUT.PIXEL_STD = [0.229, 0.224, 0.225]
_C.INPUT.PADDING = 10  # pixels of black on each side before the random crop

# ---------------------------------------------------------------- data sets
_C.DATASETS = CN()
_C.DATASETS.NAMES = 'market1501'  # 'animals' for every species
_C.DATASETS.ROOT_DIR = '../data'  # train and validation photos are in ROOT_DIR/DATA_DIR
_C.DATASETS.TEST_ROOT_DIR = '../data'  # query and gallery photos
_C.DATASETS.SPECIES = (
    'tiger'  # picks lists and protocol: tiger, yak, h_yak, s_yak, elephant, debug, all, or your own
)
_C.DATASETS.DATA_DIR = 'Animal-Seg-V3'
_C.DATASETS.LIST_DIR = (
    'datalist'  # folder of the split lists, relative to the working directory or absolute
)
_C.DATASETS.TRAIN_LIST = ''  # a file; '' = the published list of SPECIES
_C.DATASETS.VAL_LIST = ''
_C.DATASETS.QUERY_LIST = ''
_C.DATASETS.GALLERY_LIST = ''
_C.DATASETS.PROTOCOL = ''  # how a test is judged, see datasets/protocols.py; '' = by SPECIES
_C.DATASETS.GROUND_TRUTH = ''  # ATRW's json (tiger); '' = gt_test_plain.json in LIST_DIR
_C.DATASETS.TEST_SIZE = 800  # VehicleID: vehicles of the test list, 800, 1600 or 2400
_C.DATASETS.SKIP_MISSING = False  # True = go on without listed photos that are not there
# True = decode all listed photos at the start and go on without those that cannot be read
_C.DATASETS.SKIP_BROKEN = False
_C.DATASETS.ALLOW_OUTSIDE = (
    False  # True = lists may name photos outside their folder: absolute paths, '..', links
)

_C.DATALOADER = CN()
_C.DATALOADER.NUM_WORKERS = 8  # processes that decode photos
# 'softmax' = shuffled photos; 'softmax_triplet' = P individuals × NUM_INSTANCE photos
_C.DATALOADER.SAMPLER = 'softmax'
_C.DATALOADER.NUM_INSTANCE = 16  # photos of an individual in a batch (K)
# 10⁹ bytes of disk in OUTPUT_DIR for decoded, resized photos during a training run; 0 = none
_C.DATALOADER.CACHE_GB = 8.0

# ---------------------------------------------------------------- training
_C.SOLVER = CN()
_C.SOLVER.SEED = 1234
_C.SOLVER.MARGIN = 0.3  # of the triplet loss, in units of distance
# mixed precision: 'auto' (bf16 or fp16 as the GPU has it, off on the CPU), 'off', 'fp16', 'bf16'
_C.SOLVER.AMP = 'auto'
# True = torch's deterministic kernels only: the same weights each time on a GPU too, slower
_C.SOLVER.DETERMINISTIC = False
# 'auto' (as --resume) = go on where OUTPUT_DIR's run ended, or start it; a path = go on from that
# state
_C.SOLVER.RESUME = ''
_C.SOLVER.RESUME_PERIOD = 1  # epochs from one resumable state to the next; only the newest is kept
_C.SOLVER.CHECKPOINT_MINUTES = 0.0  # minutes between resumable states within an epoch; 0 = none
_C.SOLVER.CHECKPOINT_FORMAT = 'pth'  # of checkpoints: 'pth' or 'safetensors'


def _stage():
    s = CN()
    s.IMS_PER_BATCH = 64  # photos
    s.OPTIMIZER_NAME = 'Adam'  # any of torch.optim that steps without a closure
    s.MAX_EPOCHS = 100
    s.BASE_LR = 3e-4
    s.MOMENTUM = 0.9  # of SGD and others that have one
    s.WEIGHT_DECAY = 5e-4
    s.WEIGHT_DECAY_BIAS = 5e-4  # of parameters with "bias" in their name
    s.WARMUP_FACTOR = 0.01  # stage 2: share of the rate before the first epoch; (kept) in stage 1
    s.WARMUP_EPOCHS = 5  # stage 1: epochs of linear warm-up; (kept) in stage 2
    s.WARMUP_LR_INIT = 0.01  # stage 1: rate before the first epoch; (kept) in stage 2
    s.LR_MIN = 1.6e-5  # stage 1: rate at the end of the cosine; (kept) in stage 2
    s.WARMUP_ITERS = (
        500  # stage 2: epochs (the name is the original's) of warm-up; (kept) in stage 1
    )
    s.WARMUP_METHOD = 'linear'  # stage 2: 'linear' or 'constant'; (kept) in stage 1
    s.COSINE_MARGIN = 0.5  # (kept)
    s.COSINE_SCALE = 30  # (kept)
    s.CHECKPOINT_PERIOD = 10  # epochs
    s.LOG_PERIOD = 100  # iterations
    s.EVAL_PERIOD = 10  # epochs between validations (stage 2); (kept) in stage 1
    return s


_C.SOLVER.STAGE1 = _stage()  # prompt learning
_C.SOLVER.STAGE2 = _stage()  # fine-tuning of the image encoder
_C.SOLVER.STAGE2.LARGE_FC_LR = False  # True = classifiers learn at 2 × BASE_LR
_C.SOLVER.STAGE2.BIAS_LR_FACTOR = 1  # biases learn at BASE_LR × this
_C.SOLVER.STAGE2.CENTER_LR = 0.5  # learning rate of the centers (SGD)
_C.SOLVER.STAGE2.CENTER_LOSS_WEIGHT = 5e-4
_C.SOLVER.STAGE2.GAMMA = 0.1  # factor of the rate at each of STEPS
_C.SOLVER.STAGE2.STEPS = (40, 70)  # epochs

# ---------------------------------------------------------------- test
_C.TEST = CN()
_C.TEST.IMS_PER_BATCH = 128  # photos
_C.TEST.RE_RANKING = (
    False  # True = k-reciprocal re-ranking in test_clipreid.py and in validation too
)
_C.TEST.RERANK_K1 = 20  # neighbours
_C.TEST.RERANK_K2 = 6  # neighbours averaged in the query expansion
_C.TEST.RERANK_LAMBDA = 0.3  # share of the original distance, 0…1
# of equal distances the lower index first; 'reference' = as the original's partial sort
_C.TEST.RERANK_TIES = 'index'
_C.TEST.WEIGHT = ''  # checkpoint to test
_C.TEST.NECK_FEAT = 'after'  # test features 'before' or 'after' the batch norm neck
_C.TEST.FEAT_NORM = (
    'yes'  # 'no' = validation on features as they are; the animal tests always normalise
)
_C.TEST.DIST_MAT = 'dist_mat.npy'  # (kept)
_C.TEST.EVAL = False  # (kept)

_C.OUTPUT_DIR = ''  # logs, checkpoints, results; made where missing

# Keys that are paths: a ~ at the start is the home. Those in DATASETS may be relative to another of
# them.
PATHS = {
    'MODEL.PRETRAIN_PATH',
    'DATASETS.ROOT_DIR',
    'DATASETS.TEST_ROOT_DIR',
    'DATASETS.DATA_DIR',
    'DATASETS.LIST_DIR',
    'DATASETS.TRAIN_LIST',
    'DATASETS.VAL_LIST',
    'DATASETS.QUERY_LIST',
    'DATASETS.GALLERY_LIST',
    'DATASETS.GROUND_TRUTH',
    'SOLVER.RESUME',
    'TEST.WEIGHT',
    'OUTPUT_DIR',
}

# Keys that change nothing, with the values the published ymls give them (all are warned of beyond
# these).
_STAGE_KEPT = {'COSINE_MARGIN': [0.5], 'COSINE_SCALE': [30]}
KEPT = {
    'MODEL.LAST_STRIDE': [1],
    'MODEL.DROP_PATH': [0.1],
    'MODEL.DROP_OUT': [0.0],
    'MODEL.ATT_DROP_RATE': [0.0],
    'MODEL.TRANSFORMER_TYPE': ['None'],
    'MODEL.DEVICE_ID': ['0'],
    'TEST.DIST_MAT': ['dist_mat.npy'],
    'TEST.EVAL': [False, True],
    **{f'SOLVER.STAGE1.{k}': v for k, v in _STAGE_KEPT.items()},
    **{f'SOLVER.STAGE2.{k}': v for k, v in _STAGE_KEPT.items()},
    'SOLVER.STAGE1.WARMUP_FACTOR': [0.01],
    'SOLVER.STAGE1.WARMUP_ITERS': [500],
    'SOLVER.STAGE1.WARMUP_METHOD': ['linear'],
    'SOLVER.STAGE1.EVAL_PERIOD': [10],
    'SOLVER.STAGE2.WARMUP_EPOCHS': [5],
    'SOLVER.STAGE2.WARMUP_LR_INIT': [0.01],
    'SOLVER.STAGE2.LR_MIN': [1.6e-5],
}

# Keys with a fixed set of values.
CHOICES = {
    'MODEL.DEVICE': ['cuda', 'cpu', 'mps'],
    'MODEL.PRETRAIN_CHOICE': ['imagenet', 'clip', 'random', 'self', 'finetune'],
    'MODEL.ACTIVATION': ['auto', 'quickgelu', 'gelu'],
    'MODEL.NECK': ['bnneck'],
    'MODEL.IF_WITH_CENTER': ['no', 'yes'],
    'MODEL.ID_LOSS_TYPE': ['softmax'],
    'MODEL.METRIC_LOSS_TYPE': ['triplet', 'triplet_center', 'center'],
    'MODEL.IF_LABELSMOOTH': ['on', 'off'],
    'MODEL.COS_LAYER': [False],
    'DATASETS.TEST_SIZE': [800, 1600, 2400],
    'DATALOADER.SAMPLER': ['softmax', 'softmax_triplet'],
    'SOLVER.AMP': ['auto', 'off', 'fp16', 'bf16'],
    'SOLVER.CHECKPOINT_FORMAT': ['pth', 'safetensors'],
    'SOLVER.STAGE1.WARMUP_METHOD': ['linear', 'constant'],
    'SOLVER.STAGE2.WARMUP_METHOD': ['linear', 'constant'],
    'TEST.NECK_FEAT': ['before', 'after'],
    'TEST.RERANK_TIES': ['index', 'reference'],
    'TEST.FEAT_NORM': ['yes', 'no'],
}


def get_defaults():
    """A fresh copy of the defaults, not frozen."""
    return _C.clone()
