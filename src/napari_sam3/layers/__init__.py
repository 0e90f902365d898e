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
from .image_stack import contrast_of, frames_of, visible_box, visible_channels
from .label_layers import (
    Layout,
    ResultLayers,
    ScoreRow,
    compile_colors,
    default_folder,
    give_own_files,
)
from .opened_images import layers_of
from .prompt_layers import PromptLayers, import_tables
from .prompt_state import PromptSnapshot

__all__ = [
    "GEOMETRY",
    "ConceptSheet",
    "DrawnBox",
    "ExemplarLayer",
    "FaintOutlines",
    "Layout",
    "PromptLayers",
    "PromptSnapshot",
    "ResultLayers",
    "ScoreRow",
    "StackAxes",
    "compile_colors",
    "contrast_of",
    "data_shape",
    "default_folder",
    "default_stack_axis",
    "frames_of",
    "give_own_files",
    "import_tables",
    "lay_on",
    "layers_of",
    "split_coordinates",
    "stack_axis_choices",
    "visible_box",
    "visible_channels",
]
