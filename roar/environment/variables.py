"""The environment variables that can change a result and hold no secret by themselves.

An allow-list, because everything else is somebody's business: names, addresses, keys, sessions. What is
chosen still passes through ``roar.redact`` before it is kept.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from fnmatch import fnmatchcase

NAMES = frozenset({
    # The language, the time zone, the sort order.
    "LANG", "LANGUAGE", "TZ", "POSIXLY_CORRECT", "SOURCE_DATE_EPOCH",
    # Which programs and modules are found.
    "VIRTUAL_ENV", "CONDA_DEFAULT_ENV", "CONDA_PREFIX", "PYTHONPATH", "PYTHONHOME", "LD_LIBRARY_PATH", "LD_PRELOAD",
    # How Python runs.
    "PYTHONHASHSEED", "PYTHONOPTIMIZE", "PYTHONNOUSERSITE", "PYTHONSAFEPATH", "PYTHONUTF8", "PYTHONIOENCODING",
    "PYTHONDONTWRITEBYTECODE", "PYTHONWARNINGS", "PYTHON_GIL", "PYTHONMALLOC",
    # Numerical libraries: threads change the order of sums.
    "NUMBA_NUM_THREADS", "NUMBA_DISABLE_JIT", "RAYON_NUM_THREADS", "POLARS_MAX_THREADS", "JULIA_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS", "BLIS_NUM_THREADS", "TBB_NUM_THREADS", "ATEN_CPU_CAPABILITY", "NPY_DISABLE_CPU_FEATURES",
    "SKLEARN_ASSUME_FINITE", "SCIPY_ARRAY_API", "JOBLIB_START_METHOD", "LOKY_MAX_CPU_COUNT",
    # Machine learning.
    "CUDA_VISIBLE_DEVICES", "CUDA_LAUNCH_BLOCKING", "CUDA_DEVICE_ORDER", "CUDA_DEVICE_MAX_CONNECTIONS",
    "CUBLAS_WORKSPACE_CONFIG", "CUDNN_DETERMINISTIC", "NVIDIA_TF32_OVERRIDE", "NVIDIA_VISIBLE_DEVICES",
    "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "HSA_OVERRIDE_GFX_VERSION",
    "PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_NVFUSER_DISABLE", "PYTORCH_ENABLE_MPS_FALLBACK",
    "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE", "TORCH_CUDNN_V8_API_DISABLED", "TORCH_DETERMINISTIC",
    "TF_DETERMINISTIC_OPS", "TF_CUDNN_DETERMINISTIC", "TF_ENABLE_ONEDNN_OPTS", "TF_XLA_FLAGS",
    "TF_FORCE_GPU_ALLOW_GROWTH", "TF_USE_LEGACY_KERAS", "KERAS_BACKEND", "JAX_ENABLE_X64", "JAX_PLATFORMS",
    "JAX_DEFAULT_MATMUL_PRECISION", "JAX_DISABLE_JIT", "XLA_FLAGS", "TOKENIZERS_PARALLELISM",
    "TRANSFORMERS_OFFLINE", "HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "WANDB_MODE", "GLOBAL_SEED", "PL_GLOBAL_SEED",
    # The place of a process among many.
    "RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "GROUP_RANK", "NODE_RANK", "NNODES",
    "SLURM_JOB_ID", "SLURM_JOB_NAME", "SLURM_JOB_PARTITION", "SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID",
    "SLURM_NTASKS", "SLURM_PROCID", "SLURM_LOCALID", "SLURM_NODEID", "SLURM_NNODES", "SLURM_CPUS_PER_TASK",
    "SLURM_GPUS", "SLURM_JOB_GPUS", "SLURM_MEM_PER_NODE", "PBS_JOBID", "PBS_ARRAY_INDEX", "LSB_JOBID",
    "LSB_JOBINDEX", "JOB_ID", "SGE_TASK_ID", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "PMI_RANK", "PMI_SIZE",
    # Compilers and make.
    "CC", "CXX", "FC", "CFLAGS", "CXXFLAGS", "CPPFLAGS", "FFLAGS", "LDFLAGS", "LDLIBS", "MAKEFLAGS", "RUSTFLAGS",
    "R_LIBS", "R_LIBS_USER", "JULIA_PROJECT", "JULIA_DEPOT_PATH",
})  # fmt: skip
PREFIXES = ("LC_", "OMP_", "GOMP_", "KMP_", "MKL_", "OPENBLAS_", "NUMEXPR_")


def chosen_variables(environ: Mapping[str, str], extra: Collection[str] = ()) -> dict[str, str]:
    """The variables of ``environ`` on the list or named in ``extra``, which may hold globs, sorted by name."""
    globs = [name for name in extra if any(c in name for c in "*?[")]
    allowed = NAMES.union(extra)
    return {
        name: environ[name]
        for name in sorted(environ)
        if name in allowed or name.startswith(PREFIXES) or any(fnmatchcase(name, glob) for glob in globs)
    }
