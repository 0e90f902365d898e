"""Answering prompts and following tracks: questions out, guesses back, masks drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ....values import (
    READING_NAMES,
    MaskPlace,
    Part,
    Prompts,
    Reading,
    named_readings,
    overlap,
    trimmed,
)
from ..base import Answer
from .decoder_queries import Guess, Question, ask
from .mask_decoding import (
    can_win,
    closer_question,
    draw_part,
    previous_guess,
    questions_on,
    ranked,
    trust,
)
from .memory_bank import Track, as_drawn, nearest, presence_of, question_about
from .network import Network
from .pyramid import Pyramid

ALIKE = 0.85
"""Masks that overlap by more than this are one reading."""

FEW = 8
"""Of so many objects at once, all readings are sought."""

Drawn = tuple[Guess, Part]


def answer_prompts(
    network: Network,
    pyramid: Pyramid,
    prompts: Sequence[Prompts],
    previous: Sequence[Answer | None],
) -> list[Answer]:
    """Answer the prompts of several objects of one image."""
    asked = [
        questions_on(one, previous_guess(before), pyramid)
        for one, before in zip(prompts, previous, strict=True)
    ]
    guesses = ask_in_turn(network, pyramid, prompts, asked)
    closer = [
        closer_question(one, ranked(own, one)[0], pyramid)
        for one, own in zip(prompts, guesses, strict=True)
    ]
    further = ask_each(network, pyramid, [[] if one is None else [one] for one in closer])
    return [
        _answer(ranked(own + more, one), one, pyramid.shape)
        for one, own, more in zip(prompts, guesses, further, strict=True)
    ]


def answer_tracks(network: Network, pyramid: Pyramid, tracks: Sequence[Track]) -> list[Answer]:
    """Find tracked objects on the next image."""
    answers = ask_each(network, pyramid, [[question_about(track)] for track in tracks])
    return [
        _followed(nearest(as_drawn(guesses, track), track), track, pyramid)
        for guesses, track in zip(answers, tracks, strict=True)
    ]


def ask_each(
    network: Network, pyramid: Pyramid, questions: Sequence[Sequence[Question]]
) -> list[list[Guess]]:
    """Ask several questions about each of several objects, all in one pass."""
    answers = iter(ask(network, pyramid, [one for own in questions for one in own]))
    return [[guess for _ in own for guess in next(answers)] for own in questions]


def ask_in_turn(
    network: Network,
    pyramid: Pyramid,
    prompts: Sequence[Prompts],
    questions: Sequence[Sequence[Question]],
) -> list[list[Guess]]:
    """Ask several questions about each of several objects; of many, only those that matter.

    The first guess is the same in either case. The questions that can no longer change it are
    what tells other readings of one object, and what takes long for a hundred.
    """
    if len(prompts) <= FEW:
        return ask_each(network, pyramid, questions)
    found: list[list[Guess]] = [[] for _ in prompts]
    best = [0.0] * len(prompts)
    for turn in range(max(map(len, questions))):
        wanted = [
            own[turn : turn + 1] if turn < len(own) and can_win(own[turn], most, one) else []
            for own, most, one in zip(questions, best, prompts, strict=True)
        ]
        for index, more in enumerate(ask_each(network, pyramid, wanted)):
            found[index].extend(more)
            best[index] = max([best[index], *(trust(guess, prompts[index]) for guess in more)])
    return found


def _answer(guesses: Sequence[Guess], prompts: Prompts, shape: tuple[int, int]) -> Answer:
    drawn = distinct(guesses, prompts, shape)
    first, *others = [trust(guess, prompts) for guess, _ in drawn]
    return _of_drawn(drawn, [max([first, *others]), *others], shape)


def _followed(guesses: Sequence[Guess], track: Track, pyramid: Pyramid) -> Answer:
    presence = presence_of(guesses[0], track, pyramid)
    if presence < 0.5:
        nothing, nowhere = np.zeros((0, 0), bool), MaskPlace(0, 0, pyramid.shape)
        return Answer((Reading("whole", nothing, 0.0, nowhere),), presence)
    drawn = distinct(guesses, Prompts(), pyramid.shape)
    answer = _of_drawn(drawn, [guess.score for guess, _ in drawn], pyramid.shape)
    nearest_first = sorted(
        answer.readings, key=lambda one: answer.memory[one.name] is not guesses[0]
    )
    return replace(answer, readings=tuple(nearest_first), presence=presence)


def distinct(guesses: Sequence[Guess], prompts: Prompts, shape: tuple[int, int]) -> list[Drawn]:
    """Draw guesses, best first, until there are as many different masks as readings."""
    kept: list[Drawn] = []
    for guess in guesses:
        part = draw_part(guess, prompts, shape)
        is_known = any(overlap(part, other) > ALIKE for _, other in kept)
        if kept and (is_known or not part[1].any()):
            continue
        kept.append((guess, part))
        if len(kept) == len(READING_NAMES):
            break
    return kept


def _of_drawn(drawn: Sequence[Drawn], scores: Sequence[float], shape: tuple[int, int]) -> Answer:
    """Answer with what was drawn, remembering the guess behind each reading by its name."""
    masks = [mask for _, (_, mask) in drawn]
    places = [MaskPlace(rows.start, cols.start, shape) for _, ((rows, cols), _) in drawn]
    readings = named_readings(masks, scores, places)
    guesses = {id(mask): guess for guess, (_, mask) in drawn}
    known = {reading.name: guesses[id(reading.patch)] for reading in readings}
    return Answer(tuple(map(trimmed, readings)), memory=known)
