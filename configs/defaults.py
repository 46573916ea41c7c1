"""All config keys, each with its published default and the rule for its values (configs/rules.py).

This is the only list of keys; ymls and the command line override the defaults. The first value of
a ``Choice`` is its default. An ``Ignored`` key has no effect: it is kept so that old ymls load,
and a value other than its default logs a warning. A ``Path`` may begin with ``~``.
"""

from configs.rules import (
    DRAWS,
    EXPLAINED,
    NOT_NEGATIVE,
    POSITIVE,
    SEED,
    SHARE,
    Choice,
    Encoder,
    Ignored,
    Number,
    NumberOrAuto,
    Path,
    Rising,
    Rule,
)

# the optimizers of torch.optim that need no closure and accept weight decay
OPTIMIZERS = Choice(
    *('Adam', 'AdamW', 'SGD', 'ASGD', 'Adadelta', 'Adafactor', 'Adagrad', 'Adamax'),
    *('NAdam', 'RAdam', 'RMSprop'),
)

RULES: dict[str, Rule] = {
    # ---------------------------------------------------------------- model
    # if the device is missing, training warns and uses the CPU
    'MODEL.DEVICE': Choice('cuda', 'cpu', 'mps'),
    'MODEL.DEVICE_ID': Ignored('0'),  # set CUDA_VISIBLE_DEVICES to choose a GPU
    # OpenAI CLIP's image encoder, or 'timm:<name>' for any network of the library timm
    'MODEL.NAME': Encoder(
        *('RN50', 'RN101', 'RN50x4', 'RN50x16', 'RN50x64'),
        *('ViT-B-32', 'ViT-B-16', 'ViT-L-14', 'ViT-L-14-336px'),
        *('ViT-B/32', 'ViT-B/16', 'ViT-L/14', 'ViT-L/14@336px'),  # OpenAI's spelling
    ),
    'MODEL.LAST_STRIDE': Ignored(1),  # stride of the last residual stage; always 1 here
    # weights for PRETRAIN_CHOICE; '' = OpenAI's (or timm's) for NAME, from the cache or downloaded
    'MODEL.PRETRAIN_PATH': Path(''),
    # 'clip' or 'imagenet' (the old name) = CLIP's or timm's weights; 'self' = the model in
    # PRETRAIN_PATH; 'finetune' = only its encoders, with new heads, for other individuals
    'MODEL.PRETRAIN_CHOICE': Choice('imagenet', 'clip', 'random', 'self', 'finetune'),
    # a sentence with four X, one per learned token; '' = the published sentence, which says
    # "vehicle" for vehicles and "person" for all others
    'MODEL.PROMPT': Rule(''),
    # the four learned tokens of an individual start as random vectors, or as the words of its
    # number in four digits; with STAGE1.MAX_EPOCHS 0 the numbers stay
    'MODEL.PROMPT_START': Choice('random', 'number'),
    'MODEL.NECK': Choice('bnneck'),  # batch normalisation between feature and classifier
    'MODEL.IF_WITH_CENTER': Choice('no', 'yes'),  # 'yes' adds the center loss
    # ID loss: cross entropy on linear classifiers, or on cosines with a margin (CosFace), see
    # STAGE2.COSINE_SCALE and COSINE_MARGIN
    'MODEL.ID_LOSS_TYPE': Choice('softmax', 'cosface'),
    # weight of the ID loss, a sum over two classifiers
    'MODEL.ID_LOSS_WEIGHT': Number(1.0, NOT_NEGATIVE),
    # weight of the triplet loss, a sum over three features
    'MODEL.TRIPLET_LOSS_WEIGHT': Number(1.0, NOT_NEGATIVE),
    'MODEL.I2T_LOSS_WEIGHT': Number(1.0, NOT_NEGATIVE),  # weight of the image-to-text cross entropy
    'MODEL.METRIC_LOSS_TYPE': Choice('triplet', 'triplet_center', 'center'),
    # of the triplet loss; 'cosine' is 1 - cosine, 0 … 2, and SOLVER.MARGIN is in its units
    'MODEL.TRIPLET_DISTANCE': Choice('euclidean', 'cosine'),
    'MODEL.DIST_TRAIN': Rule(False),  # True = several processes: torchrun --nproc_per_node N …
    # True = batch norms of a ResNet use the photos of all processes (CUDA only)
    'MODEL.SYNC_BN': Rule(False),
    'MODEL.NO_MARGIN': Rule(False),  # True = soft-margin triplet loss without SOLVER.MARGIN
    # label smoothing of 0.1 in the ID and image-to-text losses
    'MODEL.IF_LABELSMOOTH': Choice('on', 'off'),
    'MODEL.COS_LAYER': Choice(False),
    'MODEL.DROP_PATH': Ignored(0.1),
    'MODEL.DROP_OUT': Ignored(0.0),
    'MODEL.ATT_DROP_RATE': Ignored(0.0),
    'MODEL.TRANSFORMER_TYPE': Ignored('None'),
    # ViT: pixels (y, x) between patches; less than the patch size = overlapping patches
    'MODEL.STRIDE_SIZE': Number([16, 16], POSITIVE),
    'MODEL.SIE_COE': Number(3.0),  # factor of the side-information embedding (ViT)
    # True = add an embedding of the camera or the view to the class token; with both keys, one
    # embedding of the pair
    'MODEL.SIE_CAMERA': Rule(False),
    'MODEL.SIE_VIEW': Rule(False),
    # of CLIP's transformers: 'quickgelu' (OpenAI), 'gelu' (open_clip), 'auto' = as in the file
    'MODEL.ACTIVATION': Choice('auto', 'quickgelu', 'gelu'),
    # True = compile the image encoder with torch.compile, which takes minutes at the start; steps
    # on a GPU are then faster
    'MODEL.COMPILE': Rule(False),
    # True = the first layers of the image encoder keep their starting weights
    'MODEL.FREEZE_STEM': Rule(False),
    # True = its batch norms keep their starting weights and statistics
    'MODEL.FREEZE_NORMS': Rule(False),
    # ---------------------------------------------------------------- photos
    # For timm:<name>, sizes, mean and std that no yml and no pair sets are 'auto': those of timm's
    # data config.
    'INPUT.SIZE_TRAIN': NumberOrAuto([384, 128], POSITIVE),  # height, width in pixels
    'INPUT.SIZE_TEST': NumberOrAuto([384, 128], POSITIVE),  # height, width in pixels
    'INPUT.PROB': Number(0.5, SHARE),  # probability of a horizontal flip
    'INPUT.RE_PROB': Number(0.5, SHARE),  # probability of random erasing
    # per channel (R, G, B), of values 0 … 1
    'INPUT.PIXEL_MEAN': NumberOrAuto([0.485, 0.456, 0.406]),
    'INPUT.PIXEL_STD': NumberOrAuto([0.229, 0.224, 0.225], POSITIVE),
    # black pixels added on each side before the random crop
    'INPUT.PADDING': Number(10, NOT_NEGATIVE),
    # ---------------------------------------------------------------- data sets
    # 'animals' = any species, from split lists; the others are official person and vehicle sets
    'DATASETS.NAMES': Choice(
        *('market1501', 'animals', 'dukemtmc', 'occ_duke', 'msmt17'),
        *('veri', 'VehicleID'),
    ),
    'DATASETS.ROOT_DIR': Path('../data'),  # train and validation photos are in ROOT_DIR/DATA_DIR
    'DATASETS.TEST_ROOT_DIR': Path('../data'),  # query and gallery photos
    # selects lists and protocol: tiger, yak, h_yak, s_yak, elephant, debug, all, or your own
    'DATASETS.SPECIES': Rule('tiger'),
    'DATASETS.DATA_DIR': Path('Animal-Seg-V3'),
    'DATASETS.LIST_DIR': Path('datalist'),  # folder of the split lists
    # a file in LIST_DIR, or a path; '' = the published list of SPECIES
    'DATASETS.TRAIN_LIST': Path(''),
    'DATASETS.VAL_LIST': Path(''),
    'DATASETS.QUERY_LIST': Path(''),
    'DATASETS.GALLERY_LIST': Path(''),
    # how a test is evaluated, see datasets/protocols.py; '' = depends on SPECIES or NAMES
    'DATASETS.PROTOCOL': Choice(
        *('', 'tiger', 'yak', 'h_yak', 's_yak', 'elephant', 'debug'),
        *('query_in_gallery', 'query_apart', 'all'),
        *('cross-camera', 'cross-encounter', 'cross-side'),
        *('market', 'market_one_camera', 'vehicleid'),
    ),
    'DATASETS.GROUND_TRUTH': Path(''),  # ATRW's JSON (tiger); '' = gt_test_plain.json in LIST_DIR
    'DATASETS.TEST_SIZE': Choice(800, 1600, 2400),  # VehicleID: number of vehicles in the test list
    'DATASETS.SKIP_MISSING': Rule(False),  # True = skip missing photos
    # True = decode all listed photos at the start and skip unreadable ones
    'DATASETS.SKIP_BROKEN': Rule(False),
    # True = lists may name photos outside their folder: absolute paths, '..', links
    'DATASETS.ALLOW_OUTSIDE': Rule(False),
    'DATALOADER.NUM_WORKERS': Number(8, NOT_NEGATIVE),  # processes that decode photos
    # 'softmax' = shuffled photos; 'softmax_triplet' = P individuals × NUM_INSTANCE photos
    'DATALOADER.SAMPLER': Choice('softmax', 'softmax_triplet'),
    'DATALOADER.NUM_INSTANCE': Number(16, POSITIVE),  # photos per individual in a batch (K)
    # disk space in OUTPUT_DIR, in GB, to cache decoded photos during training; 0 = no cache
    'DATALOADER.CACHE_GB': Number(8.0, NOT_NEGATIVE),
    # ---------------------------------------------------------------- training
    'SOLVER.SEED': Number(1234, SEED),
    'SOLVER.MARGIN': Number(0.3, NOT_NEGATIVE),  # margin of the triplet loss, a distance
    # mixed precision: 'auto' = bf16 on GPUs that support it, fp16 on others, off on the CPU
    'SOLVER.AMP': Choice('auto', 'off', 'fp16', 'bf16'),
    # True = only deterministic kernels of torch: reproducible weights on GPUs too, but slower
    'SOLVER.DETERMINISTIC': Rule(False),
    # 'auto' (or --resume) = resume the run in OUTPUT_DIR, or start one; a path = resume from that
    # state
    'SOLVER.RESUME': Path(''),
    # epochs between saved states; only the newest is kept
    'SOLVER.RESUME_PERIOD': Number(1, POSITIVE),
    # minutes between states saved within an epoch; 0 = none
    'SOLVER.CHECKPOINT_MINUTES': Number(0.0, NOT_NEGATIVE),
    'SOLVER.CHECKPOINT_FORMAT': Choice('pth', 'safetensors'),
    # stage 1, prompt learning: warm-up, then cosine schedule
    'SOLVER.STAGE1.IMS_PER_BATCH': Number(64, POSITIVE),  # photos
    'SOLVER.STAGE1.OPTIMIZER_NAME': OPTIMIZERS,
    'SOLVER.STAGE1.MAX_EPOCHS': Number(100, NOT_NEGATIVE),
    'SOLVER.STAGE1.BASE_LR': Number(3e-4, POSITIVE),
    'SOLVER.STAGE1.MOMENTUM': Number(0.9, NOT_NEGATIVE),  # for SGD and others with momentum
    'SOLVER.STAGE1.WEIGHT_DECAY': Number(5e-4, NOT_NEGATIVE),
    # for parameters with "bias" in their name
    'SOLVER.STAGE1.WEIGHT_DECAY_BIAS': Number(5e-4, NOT_NEGATIVE),
    'SOLVER.STAGE1.COSINE_MARGIN': Ignored(0.5),
    'SOLVER.STAGE1.COSINE_SCALE': Ignored(30),
    'SOLVER.STAGE1.CHECKPOINT_PERIOD': Number(10, POSITIVE),  # epochs
    'SOLVER.STAGE1.LOG_PERIOD': Number(100, POSITIVE),  # iterations
    'SOLVER.STAGE1.WARMUP_EPOCHS': Number(5, NOT_NEGATIVE),  # epochs of linear warm-up
    'SOLVER.STAGE1.WARMUP_LR_INIT': Number(0.01, NOT_NEGATIVE),  # learning rate at epoch 0
    'SOLVER.STAGE1.LR_MIN': Number(1.6e-5, NOT_NEGATIVE),  # learning rate at the end of the cosine
    'SOLVER.STAGE1.WARMUP_FACTOR': Ignored(0.01),
    'SOLVER.STAGE1.WARMUP_ITERS': Ignored(500),
    'SOLVER.STAGE1.WARMUP_METHOD': Ignored('linear'),
    'SOLVER.STAGE1.EVAL_PERIOD': Ignored(10),
    # stage 2, fine-tuning of the image encoder: warm-up, then step schedule
    'SOLVER.STAGE2.IMS_PER_BATCH': Number(64, POSITIVE),  # photos
    'SOLVER.STAGE2.OPTIMIZER_NAME': OPTIMIZERS,
    'SOLVER.STAGE2.MAX_EPOCHS': Number(100, NOT_NEGATIVE),
    'SOLVER.STAGE2.BASE_LR': Number(3e-4, POSITIVE),
    'SOLVER.STAGE2.MOMENTUM': Number(0.9, NOT_NEGATIVE),  # for SGD and others with momentum
    'SOLVER.STAGE2.WEIGHT_DECAY': Number(5e-4, NOT_NEGATIVE),
    # for parameters with "bias" in their name
    'SOLVER.STAGE2.WEIGHT_DECAY_BIAS': Number(5e-4, NOT_NEGATIVE),
    'SOLVER.STAGE2.COSINE_MARGIN': Number(0.5, NOT_NEGATIVE),  # m of CosFace, a cosine
    'SOLVER.STAGE2.COSINE_SCALE': Number(30, POSITIVE),  # s of CosFace
    'SOLVER.STAGE2.CHECKPOINT_PERIOD': Number(10, POSITIVE),  # epochs
    'SOLVER.STAGE2.LOG_PERIOD': Number(100, POSITIVE),  # iterations
    # in epochs, despite the original's name
    'SOLVER.STAGE2.WARMUP_ITERS': Number(500, NOT_NEGATIVE),
    'SOLVER.STAGE2.WARMUP_FACTOR': Number(0.01, NOT_NEGATIVE),  # fraction of BASE_LR at the start
    'SOLVER.STAGE2.WARMUP_METHOD': Choice('linear', 'constant'),
    'SOLVER.STAGE2.WARMUP_EPOCHS': Ignored(5),
    'SOLVER.STAGE2.WARMUP_LR_INIT': Ignored(0.01),
    'SOLVER.STAGE2.LR_MIN': Ignored(1.6e-5),
    'SOLVER.STAGE2.EVAL_PERIOD': Number(10, POSITIVE),  # epochs between validations
    'SOLVER.STAGE2.LARGE_FC_LR': Rule(False),  # True = classifiers learn at 2 × BASE_LR
    'SOLVER.STAGE2.BIAS_LR_FACTOR': Number(1, NOT_NEGATIVE),  # biases learn at BASE_LR × this
    'SOLVER.STAGE2.CENTER_LR': Number(0.5, NOT_NEGATIVE),  # learning rate of the centers (SGD)
    'SOLVER.STAGE2.CENTER_LOSS_WEIGHT': Number(5e-4, NOT_NEGATIVE),
    # the learning rate is multiplied by this at each of STEPS
    'SOLVER.STAGE2.GAMMA': Number(0.1, NOT_NEGATIVE),
    'SOLVER.STAGE2.STEPS': Rising((40, 70)),  # epochs
    # ---------------------------------------------------------------- test
    'TEST.IMS_PER_BATCH': Number(128, POSITIVE),  # photos
    'TEST.RE_RANKING': Rule(False),  # True = k-reciprocal re-ranking, in validation too
    'TEST.RERANK_K1': Number(20, POSITIVE),  # neighbours
    'TEST.RERANK_K2': Number(6, POSITIVE),  # neighbours averaged in the query expansion
    'TEST.RERANK_LAMBDA': Number(0.3, SHARE),  # weight of the original distance
    # order of equal distances: 'index' = lower index first, 'reference' = that of the original's
    # partial sort
    'TEST.RERANK_TIES': Choice('index', 'reference'),
    'TEST.BOOTSTRAP': Number(1000, DRAWS),  # draws per interval, 0 = no intervals
    'TEST.REPORT': Rule(True),  # False = no report.html
    # the hardest queries for which report.html shows where the model looks; 0 = none
    'TEST.EXPLAIN': Number(8, EXPLAINED),
    # checkpoint to test; 'start' = the starting weights as they are, without any training
    'TEST.WEIGHT': Path(''),
    # a whitening of the features of TEST.WEIGHT, made by tools.fit_whitening; '' = none
    'TEST.WHITENING': Path(''),
    # precision of the image encoder in tests, rank_photos and extract_features; validation is fp32
    'TEST.PRECISION': Choice('fp32', 'bf16'),
    # True = after the last validation, the starting weights and whitened features are validated too
    'TEST.BASELINES': Rule(True),
    'TEST.NECK_FEAT': Choice('after', 'before'),  # features after or before the batch norm neck
    # 'no' = validate without normalising features; tests on animals always normalise
    'TEST.FEAT_NORM': Choice('yes', 'no'),
    'TEST.DIST_MAT': Ignored('dist_mat.npy'),
    'TEST.EVAL': Ignored(False, also=True),
    'OUTPUT_DIR': Path(''),  # for logs, checkpoints and results; created if missing
}
