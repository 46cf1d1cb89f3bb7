"""A small list of words with a tone in financial news. Words alone; what is made of them is not.

Compiled for this project from general knowledge of financial language; no other list was copied,
and no word was put in or taken out for how it does on a labelled set, so that the accuracy measured
on such sets is that of a list which was not fitted to them. Inflections are written out: nothing is
stemmed, for stemming joins what does not belong together (*new* and *news*). Words that point both
ways in a headline (*up*, *cut*, *record*, *profit*, *debt*) are left out.

It lives in a module, and not in a file of data, so that it is part of the code version: another
word is another scorer.
"""

from __future__ import annotations

from typing import Final


def _each(words: str) -> frozenset[str]:
    return frozenset(words.split())


POSITIVE: Final = _each(
    """
    accelerate accelerated accelerates accelerating acceleration acclaimed accomplish accomplished
    achieve achieved achievement achievements achieves achieving advance advanced advances advancing
    advantage advantageous advantages affordable ahead appealing applaud applauded appreciate
    appreciated appreciates appreciation approval approvals approve approved approves attractive
    beat beaten beating beats beneficial benefit benefited benefits best better bolster bolstered
    bolsters boom booming booms boost boosted boosting boosts bounce bounced bounces breakthrough
    breakthroughs bright brighten brightened brighter brisk bull bullish bullishness bulls buoyant
    buoyed celebrate celebrated climb climbed climbing climbs compelling confidence confident
    deleverage delight delighted dominate dominated ease eased eases easing efficiencies efficiency
    efficient encouraged encouraging endorse endorsed endorsement enhance enhanced enhancement
    enhances enhancing enjoy enjoyed enjoys enthusiasm enthusiastic exceed exceeded exceeding
    exceeds excellent exceptional exceptionally excited exciting expand expanded expanding expands
    expansion favorable favorably favored favourable favourably favoured flourish flourished
    flourishing gain gained gainer gainers gaining gains good great greatest grew grow growing grown
    grows growth healthier healthy high-quality higher highest honored honoured hopeful hopes
    impress impressed impressive improve improved improvement improvements improves improving
    increase increased increases increasing ingenious innovate innovated innovation innovations
    innovative jump jumped jumping jumps leap leaped leaps lucrative milestone milestones momentum
    opportunities opportunity optimism optimistic outpace outpaced outpaces outpacing outperform
    outperformance outperformed outperforming outperforms outshine outshone outstanding overcome
    overweight pleased plentiful popular popularity premier prestigious profitability profitable
    profitably progress progressed promising prosper prospered prosperity prosperous rallied rallies
    rally rallying rebound rebounded rebounding rebounds record-breaking record-high recover
    recovered recovering recovers recovery reinforce reinforced resilience resilient resolve
    resolved revive revived revives reward rewarded rewarding rewards rise risen rises rising roar
    roared robust robustly rose safer satisfied satisfying secure secured secures skyrocket
    skyrocketed skyrocketing smooth smoothly soar soared soaring soars solid solidly stabilise
    stabilised stabilises stability stabilize stabilized stabilizes stable stellar strength
    strengthen strengthened strengthening strengthens strong stronger strongest strongly succeed
    succeeded succeeds success successes successful successfully superb superior surge surged surges
    surging surpass surpassed surpasses surpassing thrive thrived thrives thriving top topped
    topping tops triumph triumphed turnaround unlock unlocked upbeat upgrade upgraded upgrades
    upgrading upside uptick upturn valuable vibrant victory vigorous win winner winners winning wins
    won
    """
)

NEGATIVE: Final = _each(
    """
    abandon abandoned abandons abuse abused abuses accident accidents accusation accusations accuse
    accused accuses adverse adversely ailing alarm alarmed alarming allegation allegations allege
    alleged alleges anxiety anxious arrest arrested bad bailout ban bankrupt bankruptcies bankruptcy
    banned bans bear bearish bears beleaguered bleak blow boycott breach breached breaches bribe
    bribery bribes bubble burden burdened burdensome cancel canceled cancelled cancels catastrophe
    catastrophic caution cautioned cautious cease ceased ceases charged clash closure closures
    collapse collapsed collapses collapsing complain complained complaint complaints concern
    concerned concerns condemn condemned contracting contraction controversial controversies
    controversy convicted corrupt corruption costly crash crashed crashes crashing crises crisis
    critical criticise criticised criticism criticize criticized crumble crumbled curb curbed damage
    damaged damages damaging danger dangerous deadlock deceive deceived decline declined declines
    declining decrease decreased decreases decreasing default defaulted defaulting defaults defect
    defective defects deficit deficits defraud defrauded delay delayed delaying delays delinquencies
    delinquency delinquent delist delisted delisting demise denied depress depressed depression
    deteriorate deteriorated deteriorates deteriorating deterioration devalue devalued difficult
    difficulties difficulty dim dip dipped dips disagree disappoint disappointed disappointing
    disappointment disappoints disaster disastrous discontinue discontinued dismal dismiss dismissed
    dispute disputed disputes disrupt disrupted disruption disruptions dissatisfied distress
    distressed dive dived dives doom doubt doubtful doubts downbeat downgrade downgraded downgrades
    downgrading downside downsize downsized downsizing downtime downturn downturns drag dragged
    drags drawdown drop dropped dropping drops dwindle dwindled dwindling erode eroded erodes
    eroding erosion evade evaded evasion evict exodus exploit exposed fail failed failing fails
    failure failures fall fallen falling falls falter faltered faltering falters fear feared fearful
    fears feeble fell fined fines fire-sale flop flopped foreclose foreclosed foreclosure
    foreclosures fragile fraud frauds fraudulent freefall frustrated frustrating furlough furloughed
    glitch glitches gloom gloomy guilty halt halted halting halts hamper hampered harm harmed
    harmful harsh headwind headwinds hurt hurting hurts idle idled illegal illegally illiquid impair
    impaired impairment impairments inadequate indict indicted indictment inefficient infringe
    infringed infringement injunction insolvency insolvent instability insufficient investigation
    investigations jeopardise jeopardize jitters lackluster lacklustre lag lagged lagging lags
    lawsuit lawsuits layoff layoffs liquidate liquidated liquidation litigation lose loses losing
    loss losses lost lower lowered lowering lowers lowest manipulate manipulated manipulation
    misconduct mislead misleading misled mismanage mismanaged miss missed misses missing misstate
    misstated misstatement negative negatively neglect neglected negligence obsolete obstacle
    obstacles outage outages overcapacity overdue overhang oversupply overvalued panic panicked
    penalise penalised penalize penalized penalties penalty peril pessimism pessimistic plague
    plagued plummet plummeted plummeting plummets plunge plunged plunges plunging poor poorer
    poorest poorly postpone postponed postponement pressure pressured pressures probe probed probes
    problem problematic problems prosecute prosecuted prosecution protest protests punish punished
    quit recall recalled recalls recession recessionary redundancies redundancy reject rejected
    rejection rejects resign resignation resigned resigns retreat retreated retreats retrench riot
    risky rout sabotage sag sagged sags sanction sanctioned sanctions scandal scandals scrap
    scrapped scrutiny sell-off selloff setback setbacks severe severely shock shocked shocks
    shortage shortages shortfall shortfalls shrank shrink shrinking shrinks shrunk shut shutdown
    shutdowns shuts sink sinking sinks skid skidded skids slash slashed slashes slashing slid slide
    slides sliding slip slipped slipping slips slow slowdown slowdowns slowed slower slowing slows
    sluggish slump slumped slumping slumps sour soured squeeze squeezed stagnant stagnate stagnated
    stagnation stall stalled stalling stalls strain strained stress stressed strike strikes struggle
    struggled struggles struggling stumble stumbled stumbles subdued sued sues suffer suffered
    suffering suffers suspend suspended suspends suspension tank tanked tepid terminate terminated
    termination theft threat threaten threatened threatening threatens threats tough trouble
    troubled troubles troubling tumble tumbled tumbles tumbling turbulence turbulent turmoil unable
    uncertain uncertainties uncertainty uncompetitive underestimate undermine undermined
    underperform underperformance underperformed underperforming underperforms underweight
    unemployed unemployment unexpected unexpectedly unfavorable unfavourable unlawful unprofitable
    unrest unstable unsuccessful unsustainable violate violated violation violations volatile
    volatility vulnerable warn warned warning warnings warns weak weaken weakened weakening weakens
    weaker weakest weakness withdraw withdrawal withdrawn withdrew woes worried worries worry
    worrying worse worsen worsened worsening worsens worst worthless write-down write-downs
    write-off write-offs writedown writedowns writeoff writeoffs wrong wrongdoing
    """
)

NEGATIONS: Final = _each(
    """
    aren't barely can't cannot couldn't didn't doesn't don't hadn't hardly hasn't haven't isn't lack
    lacks neither never no nobody none nor not nothing scarcely shouldn't wasn't weren't without
    won't wouldn't
    """
)

INTENSIFIERS: Final = _each(
    """
    considerably deeply dramatically drastically enormously especially exceedingly extremely greatly
    heavily highly hugely immensely largest massive massively materially particularly remarkably
    seriously sharp sharply significant significantly steep steeply strikingly substantial
    substantially tremendous tremendously vastly very
    """
)

DIMINISHERS: Final = _each(
    """
    fairly fractionally little marginal marginally mild mildly minor moderate moderately modest
    modestly partially partly rather slight slightly somewhat
    """
)
