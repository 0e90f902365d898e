"""Answering prompts and following tracks: questions out, guesses back, masks drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ....values import HYPOTHESIS_NAMES, Mask, Prompts, named_hypotheses
from ..base import Prediction
from .decoder_queries import DecoderOutput, DecoderQuery, ask
from .mask_decoding import (
    can_win,
    closer_query,
    draw_mask,
    previous_output,
    queries_on,
    ranked,
    trust,
)
from .memory_bank import Track, as_drawn, memory_query, nearest, presence_of
from .network import Network
from .pyramid import Pyramid

SAME_IOU = 0.85
"""Masks that overlap by more than this are one reading."""

FEW = 8
"""Of so many objects at once, all readings are sought."""

Drawn = tuple[DecoderOutput, Mask]


def predict_prompted(
    network: Network,
    pyramid: Pyramid,
    prompts: Sequence[Prompts],
    previous: Sequence[Prediction | None],
) -> list[Prediction]:
    """Answer the prompts of several objects of one image."""
    asked = [
        queries_on(one, previous_output(before), pyramid)
        for one, before in zip(prompts, previous, strict=True)
    ]
    guesses = decode_in_turn(network, pyramid, prompts, asked)
    closer = [
        closer_query(one, ranked(own, one)[0], pyramid)
        for one, own in zip(prompts, guesses, strict=True)
    ]
    further = decode_each(network, pyramid, [[] if one is None else [one] for one in closer])
    return [
        _answer(ranked(own + more, one), one, pyramid.shape)
        for one, own, more in zip(prompts, guesses, further, strict=True)
    ]


def predict_propagated(
    network: Network, pyramid: Pyramid, tracks: Sequence[Track]
) -> list[Prediction]:
    """Find tracked objects on the next image."""
    answers = decode_each(network, pyramid, [[memory_query(track)] for track in tracks])
    return [
        _propagated(nearest(as_drawn(guesses, track), track), track, pyramid)
        for guesses, track in zip(answers, tracks, strict=True)
    ]


def decode_each(
    network: Network, pyramid: Pyramid, questions: Sequence[Sequence[DecoderQuery]]
) -> list[list[DecoderOutput]]:
    """Ask several questions about each of several objects, all in one pass."""
    answers = iter(ask(network, pyramid, [one for own in questions for one in own]))
    return [[guess for _ in own for guess in next(answers)] for own in questions]


def decode_in_turn(
    network: Network,
    pyramid: Pyramid,
    prompts: Sequence[Prompts],
    questions: Sequence[Sequence[DecoderQuery]],
) -> list[list[DecoderOutput]]:
    """Ask several questions about each of several objects; of many, only those that matter.

    The first guess is the same in either case. The questions that can no longer change it are
    what tells other readings of one object, and what takes long for a hundred.
    """
    if len(prompts) <= FEW:
        return decode_each(network, pyramid, questions)
    found: list[list[DecoderOutput]] = [[] for _ in prompts]
    best = [0.0] * len(prompts)
    for turn in range(max(map(len, questions))):
        wanted = [
            own[turn : turn + 1] if turn < len(own) and can_win(own[turn], most, one) else []
            for own, most, one in zip(questions, best, prompts, strict=True)
        ]
        for index, more in enumerate(decode_each(network, pyramid, wanted)):
            found[index].extend(more)
            best[index] = max([best[index], *(trust(guess, prompts[index]) for guess in more)])
    return found


def _answer(
    guesses: Sequence[DecoderOutput], prompts: Prompts, shape: tuple[int, int]
) -> Prediction:
    drawn = distinct(guesses, prompts, shape)
    first, *others = [trust(guess, prompts) for guess, _ in drawn]
    return _of_drawn(drawn, [max([first, *others]), *others])


def _propagated(guesses: Sequence[DecoderOutput], track: Track, pyramid: Pyramid) -> Prediction:
    presence = presence_of(guesses[0], track, pyramid)
    if presence < 0.5:
        return Prediction((Mask.absent(pyramid.shape),), presence)
    drawn = distinct(guesses, Prompts(), pyramid.shape)
    answer = _of_drawn(drawn, [guess.score for guess, _ in drawn])
    nearest_first = sorted(
        answer.hypotheses, key=lambda one: answer.memory[one.name] is not guesses[0]
    )
    return replace(answer, hypotheses=tuple(nearest_first), presence=presence)


def distinct(
    guesses: Sequence[DecoderOutput], prompts: Prompts, shape: tuple[int, int]
) -> list[Drawn]:
    """Draw guesses, best first, until there are as many different masks as readings."""
    kept: list[Drawn] = []
    for guess in guesses:
        mask = draw_mask(guess, prompts, shape)
        is_known = any(mask.iou(known) > SAME_IOU for _, known in kept)
        if kept and (is_known or not mask.area):
            continue
        kept.append((guess, mask))
        if len(kept) == len(HYPOTHESIS_NAMES):
            break
    return kept


def _of_drawn(drawn: Sequence[Drawn], scores: Sequence[float]) -> Prediction:
    """Return the masks as hypotheses, and keep the decoder output behind each by its name."""
    masks = [replace(mask, score=score) for (_, mask), score in zip(drawn, scores, strict=True)]
    outputs = {id(mask.crop): output for output, mask in drawn}
    hypotheses = named_hypotheses(masks)
    known = {mask.name: outputs[id(mask.crop)] for mask in hypotheses}
    return Prediction(tuple(mask.trimmed() for mask in hypotheses), memory=known)
