"""Sentences of which the made set is made: problems, solutions, refusals, other languages."""

from __future__ import annotations

NAMES = (
    "Anna",
    "Bram",
    "Chidi",
    "Dalia",
    "Emre",
    "Farah",
    "Goran",
    "Hana",
    "Ines",
    "Jorge",
    "Kofi",
    "Leila",
    "Mateo",
    "Noor",
)
THINGS = ("apples", "stamps", "marbles", "tickets", "pencils", "coins", "postcards", "seashells", "bottles", "bricks")
PROBLEMS = (
    "{a} collects {t}. On Monday {a} found {x} of them, and on Tuesday {y} more. How many {t} does {a} have after both days?",
    "A shop sold {x} {t} in the morning and {y} in the afternoon. How many {t} did the shop sell that day altogether?",
    "{a} and {b} put their {t} into one box. {a} brought {x} and {b} brought {y}. What is the number of {t} in the box?",
    "There were {x} {t} on the shelf before {a} added {y} to them. Work out how many {t} stand on the shelf now.",
    "For the school fair {a} made {x} {t}, while {b} made {y}. Find the total that the two of them can sell.",
    "A lorry carries {x} boxes of {t}, and a second one {y} boxes. How many boxes of {t} arrive if both are unloaded?",
    "In spring {b} counted {x} {t}; by autumn another {y} had come. {a} asks how many there are in all. What is the answer?",
    "{a} walked {x} metres to fetch some {t} and then {y} metres to see {b}. How far did {a} walk, in metres?",
)
SAID = (
    "First I work out how many there are in total by adding the two amounts that the problem gives.",
    "We need the sum of both numbers, so I call the tool that adds them up.",
    "Let me add the amounts, because the question asks for all of them together.",
    "The two parts make a whole; the total comes from adding one to the other.",
)
LEAKS = (
    "The answer will be {n}, and I only check it with the tool.", "That makes {n} altogether. Let me verify this.",
    "Clearly it is {n}.", "I already know that the total is {c}.", "The sum is {n}.0, which I confirm now.",
    "So we get ${n}$ in all.", "Together they have {n} {t}, as a call will show.",
)  # fmt: skip
NO_LEAKS = (
    "I add {x} and {y}.", "There are {x} {t} to begin with.", "In step 1 of 2 I add.", "Call number {n}7 is not needed here.",
    "I compute {m}/2 next.", "Adding gives what is asked for.", "The code of this tool is v{n}.",
)  # fmt: skip
REFUSALS = (
    "I'm sorry, but I can't help with that request.", "I cannot assist with this question.", "I am unable to answer this.",
    "As an AI language model, I do not do arithmetic for people.", "I won't provide a solution to homework.",
    "Sorry, I can't solve this problem for you.", "I’m not able to complete this task.", "This goes against my guidelines.",
    "I must decline to answer.", "I don't have enough information to say anything.", "I'd rather not respond to this one.",
    "Unfortunately this is outside of what I may discuss.",
)  # fmt: skip
NO_REFUSALS = (
    "{a} cannot help {b} with the rest, so I add what both have.", "We can't divide by zero, but here a sum is enough.",
    "I cannot subtract more than there is; I add.", "{a} is sorry but brings fewer; the sum is what counts.",
    "The shop won't provide more {t}, so the total stays.", "An AI is not needed here, a sum is.",
)  # fmt: skip
FOREIGN = {
    "de": "Zuerst zähle ich die beiden Mengen zusammen, denn gefragt ist nach allen {t} an beiden Tagen.",
    "fr": "D'abord j'additionne les deux quantités, car la question porte sur le total des {t} des deux jours.",
    "es": "Primero sumo las dos cantidades, porque la pregunta es por el total de {t} de los dos días.",
    "it": "Prima sommo le due quantità, perché la domanda chiede il totale di {t} dei due giorni.",
    "pt": "Primeiro somo as duas quantidades, porque a pergunta é sobre o total de {t} dos dois dias.",
    "nl": "Eerst tel ik de twee hoeveelheden op, want er wordt gevraagd naar het totaal van beide dagen.",
    "pl": "Najpierw dodaję obie liczby, ponieważ pytanie dotyczy łącznej liczby rzeczy z obu dni.",
    "ru": "Сначала я складываю оба числа, потому что спрашивают про общее количество за два дня.",
    "zh": "首先我把两天的数量加起来，因为题目问的是总数。",
    "ja": "まず二つの数を足します。問題は両日の合計を聞いているからです。",
    "ar": "أولا أجمع العددين لأن السؤال عن المجموع في اليومين معا.",
    "mixed zh": "First I add both amounts. 然后我检查结果，因为题目问的是总数。 The total is what was asked.",
    "mixed ru": "We need the sum of both. Теперь проверим результат ещё раз. It is the total that was asked for.",
    "mixed de": "We add. Danach prüfe ich das Ergebnis noch einmal, denn gefragt ist nach der gesamten Menge aller Dinge.",
    "short de": "Ich rechne {x} plus {y}.",
}
NATIVE = (
    "Let α be the first amount and β the second; then $\\alpha + \\beta$ is the total of {t}.",
    "As Erdős would say: add {x} and {y}, voilà.", "x + y = ?", "{a} + {b}: {x} + {y}.", "\\[ S = {x} + {y} \\]",
    "Jorge Muñoz and Zoë Brontë put their {t} into one box, so I add both amounts.",
)  # fmt: skip
