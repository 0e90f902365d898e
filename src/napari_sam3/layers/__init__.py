"""What napari's layers hold, in the words of the engine, and back."""

from .axes import (
    GEOMETRY,
    StackAxes,
    data_shape,
    default_stack_axis,
    lay_on,
    split_coordinates,
    stack_axis_choices,
)
from .candidate_layers import ConceptSheet, FaintOutlines
from .exemplar_layer import DrawnBox, ExemplarLayer
from .image_stack import (
    contrast_key,
    contrast_of,
    frames_of,
    session_description,
    visible_box,
    visible_channels,
)
from .label_layers import (
    Layout,
    ResultLayers,
    ScoreRow,
    compile_colors,
    default_folder,
    give_own_files,
)
from .opened_images import layers_of
from .prompt_layers import PromptChange, PromptLayers, PromptSnapshot, import_tables

__all__ = [
    "GEOMETRY",
    "ConceptSheet",
    "DrawnBox",
    "ExemplarLayer",
    "FaintOutlines",
    "Layout",
    "PromptChange",
    "PromptLayers",
    "PromptSnapshot",
    "ResultLayers",
    "ScoreRow",
    "StackAxes",
    "compile_colors",
    "contrast_key",
    "contrast_of",
    "data_shape",
    "default_folder",
    "default_stack_axis",
    "frames_of",
    "give_own_files",
    "import_tables",
    "lay_on",
    "layers_of",
    "session_description",
    "split_coordinates",
    "stack_axis_choices",
    "visible_box",
    "visible_channels",
]
