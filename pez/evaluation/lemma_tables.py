"""Forms of English words that no rule folds, and words that name nothing in a picture."""

from __future__ import annotations


def _pairs(text: str) -> dict[str, str]:
    """``form:lemma`` pairs."""
    return dict(pair.split(":") for pair in text.split())


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# plurals, past forms and spellings
IRREGULAR = _pairs("""
people:person persons:person children:child kids:kid feet:foot teeth:tooth mice:mouse geese:goose
oxen:ox lice:louse dice:die knives:knife wives:wife lives:life leaves:leaf loaves:loaf halves:half
shelves:shelf wolves:wolf calves:calf elves:elf scarves:scarf hooves:hoof thieves:thief
sheaves:sheaf housewives:housewife cacti:cactus fungi:fungus buses:bus busses:bus gases:gas
lenses:lens axes:axe aches:ache headaches:headache mustaches:mustache moustaches:mustache
moustache:mustache avalanches:avalanche quiches:quiche caches:cache shoes:shoe horseshoes:horseshoe
snowshoes:snowshoe canoes:canoe toes:toe hoes:hoe tiptoes:tiptoe skis:ski taxis:taxi bikinis:bikini
kiwis:kiwi zucchinis:zucchini menus:menu emus:emu tutus:tutu gurus:guru quizzes:quiz uses:use
fuses:fuse excuses:excuse cookies:cookie movies:movie brownies:brownie hoodies:hoodie
zombies:zombie selfies:selfie smoothies:smoothie veggies:veggie collies:collie prairies:prairie
calories:calorie birdies:birdie doggies:doggie foodies:foodie pinkies:pinkie genies:genie
eyries:eyrie huskies:husky hippies:hippie yuppies:yuppie oldies:oldie rookies:rookie
cuties:cutie sweeties:sweetie beanies:beanie bookies:bookie budgies:budgie magpies:magpie
neckties:necktie bowties:bowtie dying:die lying:lie tying:tie vying:vie skiing:ski dyeing:dye
shoeing:shoe canoeing:canoe hoeing:hoe adding:add added:add egging:egg bathing:bathe
breathing:breathe bathed:bathe breathed:breathe clothed:clothe clothing:clothes tasting:taste
tasted:taste pasting:paste pasted:paste wasting:waste wasted:waste changing:change changed:change
exchanging:exchange arranging:arrange arranged:arrange plunging:plunge plunged:plunge
lounging:lounge lounged:lounge ranging:range challenging:challenge nursing:nurse nursed:nurse
collapsing:collapse collapsed:collapse rehearsing:rehearse focusing:focus focused:focus bussing:bus
gassing:gas picnicking:picnic panicking:panic quizzing:quiz loosing:loose lacing:lace sat:sit
ran:run stood:stand rode:ride ridden:ride held:hold ate:eat eaten:eat wore:wear worn:wear
threw:throw thrown:throw took:take taken:take made:make went:go gone:go caught:catch flew:fly
flown:fly laid:lay lain:lie hung:hang swam:swim swum:swim dug:dig drove:drive driven:drive
drew:draw drawn:draw drank:drink drunk:drink fed:feed fought:fight fallen:fall gave:give given:give
grew:grow grown:grow hid:hide hidden:hide kept:keep met:meet paid:pay seen:see shown:show
slept:sleep slid:slide spoken:speak spun:spin stuck:stick swung:swing told:tell written:write
wrote:write broken:break broke:break frozen:freeze froze:freeze brought:bring bought:buy
built:build sold:sell sent:send shone:shine swept:sweep tore:tear torn:tear bent:bend blew:blow
blown:blow bitten:bite knelt:kneel leapt:leap leant:lean learnt:learn burnt:burn sang:sing
sung:sing rang:ring began:begin begun:begin chose:choose chosen:choose came:come became:become
knew:know known:know felt:feel lost:lose led:lead lit:light slung:sling sprung:spring sprang:spring
sank:sink sunk:sink stolen:steal stole:steal struck:strike swollen:swell taught:teach thought:think
woken:wake woven:weave wept:weep crept:creep dealt:deal forgotten:forget spilt:spill woke:wake
shook:shake shaken:shake grey:gray greyish:grayish donut:doughnut donuts:doughnut colour:color
colours:color coloured:color colouring:color colored:color colourful:colorful
pyjamas:pajama pajamas:pajama centre:center centres:center theatre:theater theatres:theater
harbour:harbor harbours:harbor jewellery:jewelry tyre:tire tyres:tire aeroplane:airplane
aeroplanes:airplane yoghurt:yogurt neighbourhood:neighborhood favourite:favorite competing:compete
competed:compete completing:complete completed:complete guiding:guide guided:guide dyed:dye
eyed:eye uniting:unite united:unite welcoming:welcome welcomed:welcome controlling:control
controlled:control patrolling:patrol patrolled:patrol propelling:propel propelled:propel
silhouetted:silhouette browsing:browse challenged:challenge consuming:consume consumed:consume
becoming:become cascading:cascade lunging:lunge lunged:lunge skied:ski tvs:tv ads:ad ollies:ollie
floaties:floatie travelling:travel traveling:travel travelled:travel traveled:travel
modelling:model modeling:model paddling:paddle kayaking:kayak
""")

# words whose end only looks like one of an inflection
WHOLE = _words("""
thing king ring string wing spring sing bring swing sling sting cling fling ping bling ding ceiling
building evening morning wedding railing painting lightning icing pudding earring sibling stocking
viking darling dumpling duckling herring starling something nothing anything everything legging
incoming oncoming upcoming during clothes housing siding bunting topping crossing
flooring awning plaything shoestring hamstring offspring sterling gosling sapling seedling
fledgling inkling pants jeans shorts scissors series species christmas texas kansas atlas canvas
bias alias gas lens bus plus minus this his its yes us as is was has does news physics gymnastics
athletics tennis goggles binoculars pliers tongs mathematics headquarters always perhaps sometimes
besides swiss chess dress glass grass brass moss cross boss toss mess princess bed red shed sled
wed bred fled sped ted fred moped hundred naked wicked sacred rugged jagged biped quadruped aged
crooked embed infrared watershed bobsled dogsled flatbed waterbed riverbed streambed tweed wooden
golden
""")

FUNCTION = _words("""
a an the of in on at to is are be was were am with and or for by from up down out into over under
near nearby next it its his her hers him he she they them their theirs this that these those there
here as some any one two three four five six seven eight nine ten eleven twelve dozen hundred
thousand first second third half several many much few lot lots more most less least other others
another each every all both either neither none no not only own same such too very quite really
just so than then while when where who whom whose which what why how if because although though but
nor yet still also again once ever never always often have has having had do does doing did done
get gets getting got can could will would shall should may might must i me my mine we us our ours
you your yours myself himself herself itself themselves being been off about across along through
throughout around round between behind beside besides beneath below above against toward towards
onto upon within without inside outside during before after until since like unlike per via front
top side sides back bottom middle left right center centre edge end part way upper lower apart away
together alone almost already upside atop amid among amongst amidst underneath past except etc let
lets something someone somebody anything anyone everything everyone nothing nobody else various
certain different similar kind kinds type types sort group groups couple couples set sets pair
pairs bunch bunches piece pieces number numbers picture pictures photo photos photograph
photographs image images view views scene closeup close shot shots background backgrounds
foreground
""")
